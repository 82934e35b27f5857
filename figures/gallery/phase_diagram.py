"""Phase diagram: variance lost by CFG scale and heritability, and measured chains."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from empirical.runs.record import Run
from figures.pieces import letters, plain_logarithm
from figures.study import Study
from figures.style import PAGE, scale_look
from figures.text import formula
from qtm.cycle import family

NUMBER = 6
MADE_BY = (
    "qtm.neutral_scale and qtm.response, with V_W and V_B of generation 0; marks are generation "
    "1 of empirical/recipes/grid/embedded.toml, arm baseline"
)
CAPTION = (
    "(a) The family model: growth (red: prompts move apart and saturate) or loss (blue: prompts "
    "dissolve into each other) of the variance between prompts in one generation, by CFG scale "
    "and heritability; on the white line, neutral guidance, it is constant. Vertical lines: "
    "scales at which a generation loses a tenth, a third and two thirds of the variance within "
    "prompts. Each mark is a measured chain of one seed, placed by the change of both variances "
    "in its first generation: the scale explains V_W, the heritability then explains V_B. (b) "
    "That scale against the one in the recipe: the dashed line is the law for Gaussians. A "
    "trained network selects like a much weaker scale, increasingly so at high scales; neutral "
    "guidance lies between 1 and 1.25."
)
_LOSSES = (0.1, 1 / 3, 2 / 3)
# Ends of the map, of scales and of heritabilities, and how far marks extend it at most.
_MAP, _FURTHEST = ((0.8, 10.0), (0.4, 1.0)), ((0.2, 40.0), (0.1, 2.5))
# Room for marks above the map.
_ABOVE = 0.03


def draw(study: Study) -> Figure:
    """Draw the rate of change of V_B over scale and heritability, and the measured chains."""
    scales = study.scales()
    first = next(iter(scales.values()))[0]
    V_W, V_B = variances(study, first, 0)
    placed = {scale: [place(study, run) for run in runs] for scale, runs in scales.items()}
    reach = _reach([each for places in placed.values() for each in places])
    (least, most), (lowest, highest) = reach
    figure = Figure(figsize=(PAGE, 2.9))
    left, right = figure.subplots(1, 2, width_ratios=[1.75, 1])
    w = np.geomspace(least, most, 121)
    h = np.linspace(lowest, highest, 121)
    A = np.asarray(family.response(w, V_W, V_B))
    rate = 2 * np.log(h[:, None] * A)
    shown = left.pcolormesh(
        w, h, rate, cmap="RdBu_r", vmin=-2, vmax=2, shading="gouraud", rasterized=True
    )
    bar = figure.colorbar(shown, ax=left, extend="both", pad=0.01)
    bar.set_label("change of $\\ln V_B$ in a generation")
    formula(bar.ax.yaxis.label)
    possible = h[h <= 1]
    neutral = np.asarray(family.neutral_scale(possible, V_W, V_B))
    left.plot(neutral, possible, color="white", linewidth=2)
    _losses(left, V_W / (V_W + V_B), lowest + 0.01)
    for scale, places in placed.items():
        look = scale_look(scale)
        style = {"marker": look.marker, "color": look.colour, "linestyle": ""}
        full, hollow = {"markeredgecolor": "black"}, {"markerfacecolor": "white", "clip_on": False}
        for kind, outside in ((full, False), (hollow, True)):
            marks = np.array([p for p in places if _is_outside(p, reach) == outside]).reshape(-1, 2)
            if not len(marks):
                continue
            x, y = (marks[:, i].clip(*ends) for i, ends in enumerate(reach))
            label = look.label if kind is full else f"{look.label}, outside"
            left.plot(x, marks[:, 1] if kind is full else y, label=label, markersize=5.5,
                      **style, **kind)  # fmt: skip
            right.plot([scale] * len(x), x, markersize=4.5, **style, **kind)
    left.set(xscale="log", xlim=(least, most), ylim=(lowest, highest + _ABOVE))
    left.set(title="the family model")
    left.set(xlabel="CFG scale w of the theory", ylabel="heritability h between prompts")
    ticks = [tick for tick in (0.25, 0.5) if tick >= least]
    further = [tick for tick in (15, 30) if tick <= most]
    plain_logarithm(left.xaxis, [*ticks, 1, 1.5, 2, 3, 5, 7.5, *further])
    left.legend(loc="lower right", frameon=True, framealpha=0.85, edgecolor="none")
    left.grid(False)
    ends = [min(1.0, *scales), max(scales)]
    right.plot(ends, ends, "--", color="0.4", label="exact scores of Gaussians")
    right.set(title="selection by a network", xlabel="CFG scale of the recipe", xscale="log")
    right.set(ylabel="scale that explains $V_W$", yscale="log")
    formula(right.yaxis.label)
    plain_logarithm(right.xaxis, [1, 1.5, 2.5, 5, 7.5])
    plain_logarithm(right.yaxis, [*ticks, 1, 1.5, 2.5, 5, 7.5, *further])
    right.legend(loc="upper left")
    letters([left, right])
    return figure


def variances(study: Study, run: Run, generation: int) -> tuple[float, float]:
    """Return V_W and V_B of the latents, averaged over coordinates (feature units squared)."""
    table = study.moments
    rows = table[
        (table["run"] == run.name)
        & (table["feature"] == "latent")
        & (table["generation"] == generation)
    ]
    return float(rows["within"].mean()), float(rows["between"].mean())


def place(study: Study, run: Run) -> tuple[float, float]:
    """Return the scale and the heritability that explain a chain's first generation.

    With V_U = V_W + V_B of generation 0: V_W' = V_W^w V_U^(1-w) gives w, V_B' = (h A(w))^2 V_B then
    h. In the first generation the base model and its training set agree, so that neither uptake nor
    the heritability of V_W matters.
    """
    (V_W, V_B), (after_W, after_B) = (variances(study, run, g) for g in (0, 1))
    w = 1 + np.log(after_W / V_W) / np.log(V_W / (V_W + V_B))
    return float(w), float(np.sqrt(after_B / V_B) / np.asarray(family.response(w, V_W, V_B)))


def caption(study: Study) -> str:
    """Return the caption, with the marks that lie outside of the map."""
    placed = {run.name: place(study, run) for runs in study.scales().values() for run in runs}
    reach = _reach(list(placed.values()))
    outside = [
        f"{name} (scale {x:.3g}, heritability {y:.3g})"
        for name, (x, y) in placed.items()
        if _is_outside((x, y), reach)
    ]
    if not outside:
        return CAPTION
    return f"{CAPTION} White marks at the edge lie outside of the map: {'; '.join(outside)}."


def _reach(places: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the ends of the map, of scales and of heritabilities: extended to the marks, as far as
    the outer ends."""
    reach = []
    for values, (low, high), (least, most), room in zip(
        np.transpose(places), _MAP, _FURTHEST, (1.1, 1.03), strict=True
    ):
        known = values[np.isfinite(values) & (values > 0)]
        low = min([low, *known[known < low] / room])
        high = max([high, *known[known > high + _ABOVE] * room])
        reach.append((max(low, least), min(high, most)))
    return tuple(reach)


def _is_outside(mark: tuple[float, float], reach: tuple[tuple[float, float], ...]) -> bool:
    """Return whether a mark lies outside of the map."""
    (x, y), ((least, most), (low, high)) = mark, reach
    return not (least <= x <= most and low <= y <= high + _ABOVE)


def _losses(axis: Axes, ratio: float, bottom: float) -> None:
    for loss in _LOSSES:
        w = 1 + np.log(1 - loss) / np.log(ratio)
        axis.axvline(w, color="0.25", linewidth=0.7, linestyle=(0, (3, 2)))
        label = axis.annotate(
            f"$V_W$ −{loss:.0%}",
            (w, bottom),
            (2, 0),
            textcoords="offset points",
            fontsize=6,
            rotation=90,
            va="bottom",
        )
        formula(label)
