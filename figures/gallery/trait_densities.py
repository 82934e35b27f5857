"""Traits and spectra: histograms of generations at low and high scale, with the theory."""

import numpy as np
import seaborn
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from empirical.runs.record import Run
from figures.pieces import letters
from figures.study import Study, require_families
from figures.style import PAGE, scale_colour

NUMBER = 4
MADE_BY = (
    "empirical/recipes/grid/embedded.toml, arm baseline at its lowest and highest scale, seed 0; "
    "qtm fit of all arms"
)
CAPTION = (
    "(a, b) Leading latent axis of 500 images at the lowest and the highest CFG scale, generations "
    "0 to 6. Lines: the theory, a mixture with one Gaussian per prompt, moved apart and narrowed "
    "from generation 0 as predicted by the best theory, fitted to the other CFG scales; of these "
    "chains it uses generation 0 alone. Without guidance it agrees. At the high scale it predicts "
    "the width of the axis and that prompts separate into peaks, but not where: some prompts move "
    "in a direction other than their first deviation. (c, d) Change of the radial power spectrum "
    "of the images. Marks: measured, lighter to darker with the generation; lines: a trait that "
    "regresses to the base under constant selection, fitted to the first half, dashed where held "
    "out. Strong guidance removes two thirds of the power at high frequencies and then stops, "
    "which the theory does not predict."
)
_SHOWN = (0, 2, 4, 6)
_TRAIT, _SPECTRUM = "latent_pc", "power_spectrum"


def draw(study: Study) -> Figure:
    """Draw histograms of the leading axis, and spectra, at the lowest and the highest scale."""
    scales = study.scales()
    ends = {scale: scales[scale][0] for scale in (min(scales), max(scales))}
    for run in ends.values():
        require_families(run)
    figure = Figure(figsize=(PAGE, 4.6))
    left, right = figure.subfigures(1, 2, width_ratios=[2.1, 1])
    generations = [t for t in _SHOWN if t < min(len(run.generations()) for run in ends.values())]
    axes = left.subplots(len(generations), len(ends), squeeze=False, sharex=True)
    together = np.concatenate([_axis_1(run, t) for run in ends.values() for t in generations])
    bins = np.linspace(together.min(), together.max(), 46)
    for column, (scale, run) in enumerate(ends.items()):
        _histograms(axes[:, column], study, run, scale_colour(scale), generations, bins)
        axes[0, column].set_title(f"CFG {scale:g}")
        axes[-1, column].set_xlabel("latent axis 1 (latent units)")
    for row, generation in enumerate(generations):
        axes[row, 0].set_ylabel(f"generation {generation}\ndensity")
    spectra = right.subplots(len(ends), 1, squeeze=False, sharex=True, sharey=True)[:, 0]
    for axis, (scale, run) in zip(spectra, ends.items(), strict=True):
        _spectra(axis, study, run, scale_colour(scale))
        axis.set_title(f"spectrum at CFG {scale:g}")
        axis.set_ylabel("change of log10 power")
    spectra[-1].set_xlabel("ring of frequencies, low to high")
    letters([*axes[0], *spectra])
    return figure


def _histograms(
    axes: np.ndarray, study: Study, run: Run, colour: str, generations: list[int], bins: np.ndarray
) -> None:
    z = np.linspace(bins[0], bins[-1], 400)
    for axis, generation in zip(axes, generations, strict=True):
        seaborn.histplot(
            x=_axis_1(run, generation),
            bins=bins.tolist(),
            stat="density",
            color=colour,
            alpha=0.45,
            linewidth=0,
            ax=axis,
        )
        axis.plot(z, density(study, run, generation, z), color="black", linewidth=0.9)
        axis.set(yticks=[], ylabel="")
        axis.grid(False)


def _axis_1(run: Run, generation: int) -> np.ndarray:
    return run.generation(generation).trait(_TRAIT)[:, 0].astype(float)


def density(
    study: Study, run: Run, generation: int, z: Float[np.ndarray, " points"]
) -> Float[np.ndarray, " points"]:
    """Return the theory's density at z of the leading axis in a generation.

    (1/C) sum_c N(m + (m_c - m) sqrt(V_B,t/V_B,0), V_W,0 V_W,t/V_W,0): prompts keep their direction
    from the mean, and the ratios are the best theory's predictions for the latents of this CFG
    scale, which was held out.
    """
    values = _axis_1(run, 0)
    _, family = np.unique(run.generation(0).captions, return_inverse=True)
    sizes = np.bincount(family)
    means = np.bincount(family, values) / sizes
    within = np.square(values - means[family]).sum() / (len(values) - len(sizes))
    narrowed, stretched = (ratio(study, run, generation, q) for q in ("within", "between"))
    centres = values.mean() + (means - values.mean()) * np.sqrt(stretched)
    return norm.pdf(z[:, None], centres, np.sqrt(within * narrowed)) @ (sizes / sizes.sum())


def ratio(study: Study, run: Run, generation: int, quantity: str) -> float:
    """Return the predicted V_W or V_B of the latents over that of generation 0."""
    if generation == 0:
        return 1.0
    table = study.fitted.predicted(study.fitted.best, "scale", run.name, quantity)
    log_variance = float(table.set_index("generation")["predicted"].loc[generation])
    moments = study.moments
    rows = moments[
        (moments["run"] == run.name)
        & (moments["feature"] == "latent")
        & (moments["generation"] == 0)
    ]
    V_W, V_B = rows["within"].mean(), rows["between"].mean()
    return float(np.exp(log_variance) * (V_W + V_B) / {"within": V_W, "between": V_B}[quantity])


def _spectra(axis: Axes, study: Study, run: Run, colour: str) -> None:
    measured = spectrum(study, run)
    predicted = regression(measured, seen=(len(measured) - 1) // 2 + 1)
    rings = np.arange(1, measured.shape[1] + 1)
    axis.axhline(0, color="0.6", linewidth=0.8)
    last = len(measured) - 1
    for generation in range(1, last + 1):
        shade = 0.25 + 0.75 * generation / last
        powers, line = measured[generation] - measured[0], predicted[generation] - measured[0]
        axis.plot(rings, powers, "o", color=colour, alpha=shade, markersize=3, markeredgewidth=0)
        style = "-" if generation <= last // 2 else "--"
        axis.plot(rings, line, style, color="black", alpha=shade, linewidth=0.7)


def spectrum(study: Study, run: Run) -> Float[np.ndarray, "T rings"]:
    """Return the mean log10 power [generations, rings]."""
    table = study.moments
    rows = table[(table["run"] == run.name) & (table["feature"] == _SPECTRUM)]
    return rows.pivot(index="generation", columns="component", values="mean").to_numpy(float)


def regression(measured: Float[np.ndarray, "T rings"], seen: int) -> Float[np.ndarray, "T rings"]:
    """Return m_t = m_0 + S (1 - h^t)/(1 - h), fitted to generations below `seen`.

    `measured` is [t, components]. A trait regresses to the base with heritability h, shared by all
    components, under a selection differential S for each (`qtm.Regression`, `qtm.Directional`):
    m' = (1 - h) m_0 + h m + S.
    Least squares: S has a closed form, h is found numerically.
    """
    t = np.arange(len(measured))
    rise = measured - measured[0]

    def path(h: float) -> np.ndarray:
        basis = (1 - h**t) / (1 - h)
        S = basis[:seen] @ rise[:seen] / (basis[:seen] @ basis[:seen])
        return basis[:, None] * S

    def error(h: float) -> float:
        return float(np.square(rise[:seen] - path(h)[:seen]).sum())

    best = minimize_scalar(error, bounds=(0, 0.9999), method="bounded", options={"xatol": 1e-9})
    return measured[0] + path(best.x)
