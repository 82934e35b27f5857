"""Training sets: base or previous model, old images, and the fraction of real ones."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from empirical.errors import UserError
from empirical.runs.record import Run
from figures.pieces import draw_curve, generations_below, legend_below, letters, plain_logarithm
from figures.study import SCALE, Study
from figures.style import PAGE, Look, scale_look

NUMBER = 9
MADE_BY = (
    "empirical/recipes/grid/embedded.toml, arms baseline, previous, training_set, real_data, and "
    "weak_previous, weak_training_set, weak_real_data at CFG 1"
)
CAPTION = (
    "(a) Fréchet distance at the most common scale when every generation starts from the base "
    "model or from the previous one, and when it learns from the last generation alone, from all "
    "so far, from a subsample of these as large as the real data, or from real images each time "
    "(the control, which is not a chain). (b) The same without guidance. (c, d) Fréchet distance "
    "and recall after the last generation against the fraction of real images in every training "
    "set; one point per seed; the shaded ranges are the 95 % intervals of the controls. The safe "
    "fraction of synthetic images is where a line enters its range: with strong guidance none of "
    "the fractions tried is safe, half real images end five times as far from real ones as the "
    "control; without guidance accumulating is enough."
)
_SET, _START = "finetune.training_set", "finetune.start_from"
_LOOKS = {
    "replace": Look("replace, from base", "#000000", "P", "-"),
    "previous": Look("replace, from previous", "#882255", "X", (0, (4, 1.5))),
    "accumulate": Look("accumulate", "#0072B2", "s", "-"),
    "accumulate-subsample": Look("accumulate, subsample", "#56B4E9", "D", (0, (1, 1))),
    "real": Look("real images (control)", "#009E73", "o", (0, (5, 1, 1, 1))),
}


def arms(study: Study, scale: float) -> dict[str, list[Run]]:
    """Return the runs at one scale by kind of training set."""
    constant = {SCALE: scale, "generate.guidance.rule": "constant"}
    by_name = {"previous": study.find({**constant, _START: "previous"})}
    for kind in ("replace", "accumulate", "accumulate-subsample", "real"):
        by_name[kind] = study.find({**constant, _SET: kind})
    return {name: by_name[name] for name in _LOOKS if by_name[name]}


def real_fractions(study: Study, scale: float) -> dict[float, list[Run]]:
    """Return the runs at one scale by the fraction of real images in training sets, 0 to 1."""
    constant = {SCALE: scale, "generate.guidance.rule": "constant"}
    mixed = study.along("finetune.real_fraction", {**constant, _SET: "mix"})
    mixed.pop(0.0, None)
    ends = {
        0.0: study.find({**constant, _SET: "replace"}),
        1.0: study.find({**constant, _SET: "real"}),
    }
    return dict(sorted((fraction, runs) for fraction, runs in {**ends, **mixed}.items() if runs))


def draw(study: Study) -> Figure:
    """Draw curves of every kind of training set, and the end against the real fraction."""
    strong = study.common[SCALE]
    scales = [s for s in dict.fromkeys((strong, 1.0)) if len(arms(study, s)) > 1]
    if not scales:
        raise UserError("the runs do not differ in their training sets")
    figure = Figure(figsize=(PAGE, 4.3))
    axes = figure.subplots(2, 2)
    drawn: dict[str, list[Run]] = {}
    for axis in axes[0, len(scales) :]:
        axis.set_axis_off()
    for axis, scale in zip(axes[0], scales, strict=False):
        sets = arms(study, scale)
        drawn.update(sets)
        for name, runs in sets.items():
            draw_curve(axis, study.measured(runs, "frechet"), _LOOKS[name])
        axis.set(yscale="log", title=f"CFG {scale:g}", ylabel="Fréchet distance")
        plain_logarithm(axis.yaxis, [3, 10, 30, 100, 300])
        generations_below(axis)
    for axis, measure in zip(axes[1], ("frechet", "recall"), strict=True):
        for scale in scales:
            _against_real_fraction(axis, study, scale, measure)
        axis.set(xlabel="fraction of real images in every training set", xlim=(-0.04, 1.04))
    axes[1, 0].set(yscale="log", title="quality", ylabel="Fréchet distance, last generation")
    axes[1, 1].set(title="diversity", ylabel="recall, last generation", ylim=(-0.02, 1))
    plain_logarithm(axes[1, 0].yaxis, [3, 10, 30, 100, 300])
    axes[1, 0].legend(loc="upper right")
    letters(axis for axis in axes.flat if axis.axison)
    legend_below(figure, [look for name, look in _LOOKS.items() if name in drawn])
    return figure


def _against_real_fraction(axis: Axes, study: Study, scale: float, measure: str) -> None:
    look = scale_look(scale)
    curves = {
        fraction: study.measured(runs, measure)
        for fraction, runs in real_fractions(study, scale).items()
    }
    for fraction, curve in curves.items():
        axis.plot([fraction] * len(curve.last), curve.last, look.marker, color=look.colour)
    means = [curve.last.mean() for curve in curves.values()]
    axis.plot(list(curves), means, "-", color=look.colour, linewidth=0.9, zorder=1.5)
    axis.plot([], [], marker=look.marker, color=look.colour, label=look.label)
    if 1.0 in curves:
        control = curves[1.0]
        low, high = np.min(control.low[-1]), np.max(control.high[-1])
        axis.axhspan(low, high, color=look.colour, alpha=0.15, linewidth=0)
