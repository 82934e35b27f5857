"""The key factor: final degradation against the CFG scale, and against all other factors."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from empirical.errors import UserError
from empirical.runs.record import Run
from figures.pieces import letters, plain_logarithm
from figures.study import SCALE, Study
from figures.style import PAGE, scale_colour, scale_look
from figures.text import shortened

NUMBER = 3
MADE_BY = (
    "empirical/recipes/grid/embedded.toml, arms baseline, size, steps, rank, rate, full, "
    "previous, training_set, sampler, sampler_steps"
)
CAPTION = (
    "(a) Fréchet distance to unseen real images and (b) recall of them after the last "
    "generation, against the CFG scale: one point per seed, a line through their means; the dotted "
    "line is real data (generation 0). (c) Fréchet distance after the last generation with one "
    "factor changed at a time at the most common scale; the vertical line is the unchanged chain, "
    "the band the range of its seeds; in brackets, the common setting. The top row is the CFG "
    "scale itself: no other factor has as large an effect except real images as the training set "
    "of every generation, which is not a chain."
)

# Factor: label, key, and further settings.
_FACTORS = (
    ("images", "data.size", {}),
    ("finetuning steps", "finetune.steps", {}),
    ("rank", "finetune.rank", {}),
    ("learning rate", "finetune.learning_rate", {}),
    ("sampler steps", "generate.steps", {}),
    ("sampler", "generate.sampler", {}),
    ("start from", "finetune.start_from", {}),
    ("training set", "finetune.training_set", {}),
)


def draw(study: Study) -> Figure:
    """Draw the end of each chain against its scale, and against every other factor."""
    scales = study.scales()
    figure = Figure(figsize=(PAGE, 3.1))
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.75])
    above, below = left.subplots(2, 1, sharex=True)
    _against_scale(above, study, scales, "frechet")
    _against_scale(below, study, scales, "recall")
    above.set(yscale="log", ylabel="Fréchet distance", title="CFG scale")
    plain_logarithm(above.yaxis, [3, 10, 30, 100, 300])
    below.set(ylabel="recall", xlabel="CFG scale", xscale="log", ylim=(-0.02, 1))
    plain_logarithm(below.xaxis, [scale for scale in scales if scale != 1.25])
    axis = right.subplots()
    _against_factors(axis, study, scales)
    letters([above, below, axis])
    return figure


def _against_scale(axis: Axes, study: Study, scales: dict[float, list[Run]], measure: str) -> None:
    means = [study.measured(runs, measure).last.mean() for runs in scales.values()]
    axis.plot(list(scales), means, "-", color="0.6", zorder=1)
    for scale, runs in scales.items():
        look = scale_look(scale)
        ends = study.measured(runs, measure).last
        axis.plot([scale] * len(ends), ends, look.marker, color=look.colour, markersize=4)
    real = study.measured(next(iter(scales.values())), measure).mean[0]
    axis.axhline(real, color="0.3", linestyle=":", linewidth=0.8)


def _against_factors(axis: Axes, study: Study, scales: dict[float, list[Run]]) -> None:
    rows: list[tuple[str, list[tuple[str, np.ndarray]]]] = []
    for label, key, settings in _FACTORS:
        values = study.along(key, settings)
        values = {v: runs for v, runs in values.items() if v != study.common[key]}
        if values:
            ends = [(_named(v), _ends(study, runs)) for v, runs in values.items()]
            rows.append((f"{label} ({_named(study.common[key])})", ends))
    full = study.find({"finetune.method": "full"}, free=["finetune.learning_rate"])
    if full:
        rows.append(("method (LoRA)", [("all weights", _ends(study, full))]))
    baseline = study.find()
    if not rows or not baseline:
        raise UserError("none of the runs varies another factor than the CFG scale")

    usual = _ends(study, baseline)
    axis.axvspan(usual.min(), usual.max(), color="0.85", linewidth=0)
    axis.axvline(usual.mean(), color="0.4", linewidth=0.8)
    for scale, runs in scales.items():
        look = scale_look(scale)
        ends = _ends(study, runs).mean()
        axis.plot([ends], [0], look.marker, color=look.colour, markersize=5)
        axis.annotate(
            f"{scale:g}", (ends, 0), (0, 5), textcoords="offset points", ha="center", fontsize=6
        )
    for place, (_, ends) in enumerate(rows, start=1):
        axis.axhline(place, color="0.92", linewidth=0.5, zorder=0)
        ends = sorted(ends, key=lambda item: item[1].mean())
        for index, (name, values) in enumerate(ends):
            middle = values.mean()
            axis.plot(values, [place] * len(values), "o", color=scale_colour(study.common[SCALE]))
            if len(ends) > 2 and 0 < index < len(ends) - 1:
                offset, sides = (0, 4), ("center", "bottom")
            elif index == len(ends) - 1 and (len(ends) > 1 or middle > usual.mean()):
                offset, sides = (4, 0), ("left", "center")
            else:
                offset, sides = (-4, 0), ("right", "center")
            axis.annotate(name, (middle, place), offset, textcoords="offset points",
                          ha=sides[0], va=sides[1], fontsize=6)  # fmt: skip
    axis.set_yticks(range(len(rows) + 1), ["CFG scale", *(label for label, _ in rows)])
    axis.set(xscale="log", ylim=(len(rows) + 0.6, -0.7), title="one factor at a time")
    axis.set_xlabel("Fréchet distance after the last generation")
    plain_logarithm(axis.xaxis, [10, 20, 50, 100, 200, 500])
    axis.set_xlim(right=axis.get_xlim()[1] * 2)  # room for the names
    axis.grid(False, axis="y")


def _ends(study: Study, runs: list[Run]) -> np.ndarray:
    return study.measured(runs, "frechet").last


def _named(value: object) -> str:
    if isinstance(value, float) and 0 < value < 1e-2:
        power = int(np.floor(np.log10(value)))
        return f"{value / 10.0**power:g}e{power}"
    return f"{value:g}" if isinstance(value, int | float) else shortened(str(value), 24)
