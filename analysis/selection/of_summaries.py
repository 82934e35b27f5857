"""Estimates and changes of a trait of which only moments of prompts are kept, the latents.

The definitions are those of `differentials`, `transmission`, `variances` and `price`, averaged over
components. Left out is all that takes single images: intervals for these prompts, mutation, the
interval of V_B, gradients; where families have replicates too, the total variance of the chain's
images; and where every image has its own caption and prompt means are kept along leading axes only,
transmission and the interval of S.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from analysis.selection import differentials, intervals, price, transmission, variances
from analysis.selection.intervals import POPULATION, Estimate
from analysis.selection.read import Measured
from analysis.selection.summaries import Summaries, Summary


def estimates(measured: Measured, number: int) -> Iterator[tuple[Estimate, str]]:
    """Yield every estimate of a generation, with how its variances are known."""
    guided, unguided = (measured.summary(number, name) for name in (None, "unguided"))
    assert guided is not None
    for suffix, summary in (("", guided), ("_unguided", unguided)):
        if summary is None:
            continue
        total = float(summary.realised().total.mean())
        if np.isfinite(total):
            yield Estimate(f"V{suffix}", total), variances.TOTAL
        how = variances.how(summary, measured.distinct)
        for e in (*variances.within(summary, f"V_W{suffix}"), *_between(summary, f"V_B{suffix}")):
            yield e, how
    if number == 0 and measured.distinct and unguided is not None and unguided.freedom:
        for name, part in zip(("V_W", "V_B"), _by_base_model(guided, unguided), strict=True):
            yield Estimate(name, float(part.mean())), variances.BASE
    if not guided.freedom and 0 < number < len(measured.complete) - 1:
        steps = [measured.summary(number + step) for step in (-1, 0, 1)]
        before, here, after = (s for s in steps if s is not None)
        if before.exact and here.exact and after.exact:
            for e in variances.upper_bound(before, here, after):
                yield e, variances.BOUND
    if number:
        draws = measured.summaries(number)
        how = variances.how(draws.unguided, measured.distinct)
        for e in (*_differential(draws), *_transmission(draws)):
            yield e, how


def decompose(draws: Summaries) -> list[price.Change]:
    """Return the Price decomposition of `price.decompose`, averaged over components: of the mean,
    of the variance, and of V_W and V_B. Parts that need an unknown training set are nan."""
    parents = None if draws.training is None else draws.parents
    sets = (draws.previous, parents, draws.unguided, draws.guided)
    unknown = np.full(draws.guided.means.shape[1], np.nan)
    steps = {
        "mean": lambda s: s.realised().mean,
        "variance": lambda s: (s.realised() if draws.distinct else s).total,
        "within": lambda s: _separated(s, draws)[0],
        "between": lambda s: _separated(s, draws)[1],
    }
    return [
        price.change(
            name,
            None,
            None,
            np.array([(unknown if s is None else measure(s)).mean() for s in sets]),
        )
        for name, measure in steps.items()
    ]


def _separated(
    summary: Summary, draws: Summaries
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    base, within, between = draws.base, summary.variances_within, summary.between_raw
    if not draws.distinct:
        return within, between
    if draws.unguided.replicates:
        real = summary is draws.previous and not summary.replicates
        if real and base is not None and base.freedom:
            return _by_base_model(summary, base)
        return within, between - within * np.mean(1 / summary.sizes)
    return within, between if summary.freedom else within


def _by_base_model(
    real: Summary, base: Summary
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    within = np.minimum(base.variances_within, real.total)
    return within, real.total - within


def _between(summary: Summary, quantity: str) -> list[Estimate]:
    if len(summary.codes) < 2 or not summary.freedom:
        return []
    error = float(summary.error_variance().mean())
    return [Estimate(quantity, float(summary.between_raw.mean()) - error)]


def _differential(draws: Summaries) -> list[Estimate]:
    unguided = draws.unguided
    S_c, C = draws.guided.means - unguided.means, len(unguided.codes)
    S, V = float(S_c.mean()), unguided.within
    # By how much the squares of each prompt exceed their share of V_W.
    excess = unguided.sums_of_squares() - V * (unguided.sizes - 1)
    excess /= max(unguided.freedom, 1)
    U = S_c.mean(axis=1) / C
    if not (unguided.exact and draws.guided.exact):
        U = np.full(C, np.nan)
    results = [_over_prompts("S", S, U)]
    if V > 0:
        sd = V**0.5
        results.append(_over_prompts("S_standardised", S / sd, U / sd - S / (2 * V * sd) * excess))
    if draws.squares is None or draws.paired is None or not unguided.freedom:
        return results
    squares = draws.squares - draws.paired / unguided.sizes
    square = float(squares.mean())
    results += differentials.roots("S_rms", square, np.nan, squares / C)
    if V > 0:
        U = squares / C / V - square / V**2 * excess
        results += differentials.roots("S_rms_standardised", square / V, np.nan, U)
    return results


def _over_prompts(quantity: str, value: float, U: Float[np.ndarray, " C"]) -> Estimate:
    if len(U) < 2 or not np.isfinite(U).all():
        return Estimate(quantity, value)
    return Estimate(
        quantity, value, *intervals.student(value, *intervals.over_prompts(U)), POPULATION
    )


def _transmission(draws: Summaries) -> list[Estimate]:
    known = [s for s in (draws.previous, draws.unguided, draws.guided, draws.base) if s is not None]
    if not all(summary.exact for summary in known):
        return []
    results = transmission.slope(draws.guided, draws.previous.realised(), "parent_offspring")
    if draws.training is None:
        return results
    return [
        *transmission.slope(draws.unguided, draws.training, "transmission"),
        *results,
        *transmission.drift(draws),
        *transmission.two_parents(draws),
    ]
