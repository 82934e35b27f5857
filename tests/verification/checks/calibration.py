"""Simulation-based calibration of importance sampling: ranks of true parameters are uniform.

Parameters are drawn from the priors of a model, data from these, and the posterior given the data.
The rank of each true value among independent draws of its posterior is then uniform (Talts et al.
2018, arXiv 1804.06788), whatever the design. Experiments in which V_W or V_B moves by more than a
factor of e^5 are skipped, which depends on data alone and leaves ranks uniform. A chi-square test
for each parameter counts ranks in bins of equal width; the smallest p-value is multiplied by the
number of parameters. `--out FILE` draws the histograms, with the band that contains 99 % of the
bins of a uniform distribution.

The default is the small version; `--sets 300` takes three minutes.
"""

from pathlib import Path
from typing import Any

from tests.verification._experiments import experiment
from tests.verification.expectations import Claim, Measured, at_least, at_most, near

CLAIMS = (
    Claim("docs/fits.md", "Intervals of parameters are those of the posterior, by importance "
    "sampling for every model"),
)  # fmt: skip
EXPECTED = {
    "smallest p of a parameter, times their number": at_least(0.01),
    "mean rank of all, from 0 to 1": near(0.5, 0, errors=3),
    "ranks in the outer tenths (%)": near(20, 0, errors=3),
    "fits with k-hat above 0.7 (%)": at_most(5, errors=3),
}
SECONDS, MEMORY = 45, 0.8
MODEL = "log-linear, saturating"
# Draws of a posterior, so that ranks are 0 to 99, and bins of ranks.
DRAWS, BINS = 99, 5


def measure(
    model: str = MODEL, sets: int = 60, first: int = 0, out: Path | None = None
) -> dict[str, float | Measured]:
    import numpy as np
    from scipy import stats

    names, ranks, k_hats = ranked(model, sets, first)
    counts = np.stack([np.bincount(rank * BINS // (DRAWS + 1), minlength=BINS) for rank in ranks.T])
    p_values = stats.chisquare(counts, axis=1).pvalue
    for name, row, p in zip(names, counts, p_values, strict=True):
        print(f"{name:24}{''.join(f'{count:5}' for count in row)}   p {p:.3f}")
    if out is not None:
        _draw(names, counts, sets, out)
    # Parameters of one experiment share its data: experiments are the independent units.
    fraction = (ranks + 0.5) / (DRAWS + 1)
    outer = (fraction < 0.1) | (fraction > 0.9)
    error = lambda values: float(values.mean(axis=1).std(ddof=1) / sets**0.5)
    bad = float((k_hats > 0.7).mean())
    return {
        "smallest p of a parameter, times their number": min(1.0, len(names) * p_values.min()),
        "mean rank of all, from 0 to 1": Measured(float(fraction.mean()), error(fraction)),
        "ranks in the outer tenths (%)": Measured(100 * float(outer.mean()), 100 * error(outer)),
        "fits with k-hat above 0.7 (%)": Measured(100 * bad, 100 * (0.05 * 0.95 / sets) ** 0.5),
    }


def ranked(model: str, sets: int, first: int = 0) -> tuple[list[str], Any, Any]:
    """Return the names of the parameters, the ranks of their true values [sets, k], from 0 to
    `DRAWS`, and k-hat [sets]; seeds start at `first`."""
    import numpy as np

    from analysis.inference.importance import draw_posterior
    from analysis.inference.maximum import maximize
    from analysis.models import every_model
    from analysis.prediction.synthetic import vector
    from empirical.seeds import seed_of

    fitted, ranks, k_hats, number = every_model()[model], [], [], first
    while len(ranks) < sets:
        seed = seed_of("calibration", model, number)
        number += 1
        drawn = experiment(fitted, seed)
        if drawn is None:
            continue
        values, stacked = drawn
        draws = draw_posterior(maximize(fitted, stacked, 3, prior=1.0), stacked, DRAWS, seed)
        ranks.append((draws.x < vector(fitted, values)).sum(axis=0))
        k_hats.append(draws.k_hat)
    names = [p.name for p in draws.mode.parameters]
    return names, np.array(ranks), np.array(k_hats)


def _draw(names: list[str], counts: Any, sets: int, out: Path) -> None:
    """Draw the histogram of the ranks of each parameter."""
    import matplotlib.pyplot as plt
    from scipy import stats

    rows = -(-len(names) // 4)
    figure, axes = plt.subplots(
        rows, 4, figsize=(8, 1.6 * rows), sharex=True, sharey=True, squeeze=False
    )
    low, high = stats.binom.ppf([0.005, 0.995], sets, 1 / BINS)
    for axis, name, row in zip(axes.flat, names, counts, strict=False):
        axis.axhspan(low, high, color="0.85")
        centres = [(i + 0.5) / BINS for i in range(BINS)]
        axis.bar(centres, row, 1 / BINS, edgecolor="black", fill=False)
        axis.set_title(name, fontsize=8)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    figure.supxlabel("rank of the truth among draws of its posterior")
    figure.supylabel("experiments")
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)
    plt.close(figure)
