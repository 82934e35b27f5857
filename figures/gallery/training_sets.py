"""What a generation learns from: base or previous model, old images, and how many real ones."""

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
    "(a) Fréchet distance at the commonest scale when every generation starts from the base "
    "model or from the one before, and when it learns from the last generation alone, from all "
    "so far, from as many of these as there are real images, or from real images each time (the "
    "control, which is not a chain). (b) The same without guidance. (c, d) Fréchet distance and "
    "recall after the last generation against the share of real images in every training set; a "
    "point a seed; the shaded ranges are the 95 % intervals of the controls. The safe share of "
    "synthetic images is where a line enters its range: with strong guidance none of the shares "
    "tried is safe, half real images end five times as far from real ones as the control; "
    "without guidance accumulating is enough."
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
    """Return the runs at one scale by what they learn from."""
    at = {SCALE: scale, "generate.guidance.rule": "constant"}
    found = {"previous": study.find({**at, _START: "previous"})}
    for kind in ("replace", "accumulate", "accumulate-subsample", "real"):
        found[kind] = study.find({**at, _SET: kind})
    return {name: found[name] for name in _LOOKS if found[name]}


def shares(study: Study, scale: float) -> dict[float, list[Run]]:
    """Return the runs at one scale by the share of real images that they learn from, 0 to 1."""
    at = {SCALE: scale, "generate.guidance.rule": "constant"}
    mixed = study.along("finetune.real_fraction", {**at, _SET: "mix"})
    mixed.pop(0.0, None)
    ends = {0.0: study.find({**at, _SET: "replace"}), 1.0: study.find({**at, _SET: "real"})}
    return dict(sorted((share, runs) for share, runs in {**ends, **mixed}.items() if runs))


def draw(study: Study) -> Figure:
    """Draw curves of every kind of training set, and the end against the share of real images."""
    strong = study.common[SCALE]
    scales = [s for s in dict.fromkeys((strong, 1.0)) if len(arms(study, s)) > 1]
    if not scales:
        raise UserError("none of the runs differ in what their generations learn from")
    figure = Figure(figsize=(PAGE, 4.3))
    axes = figure.subplots(2, 2)
    drawn: dict[str, list[Run]] = {}
    for axis in axes[0, len(scales) :]:
        axis.set_axis_off()
    for axis, scale in zip(axes[0], scales, strict=False):
        found = arms(study, scale)
        drawn.update(found)
        for name, runs in found.items():
            draw_curve(axis, study.measured(runs, "frechet"), _LOOKS[name])
        axis.set(yscale="log", title=f"CFG {scale:g}", ylabel="Fréchet distance")
        plain_logarithm(axis.yaxis, [3, 10, 30, 100, 300])
        generations_below(axis)
    for axis, measure in zip(axes[1], ("frechet", "recall"), strict=True):
        for scale in scales:
            _against_share(axis, study, scale, measure)
        axis.set(xlabel="share of real images in every training set", xlim=(-0.04, 1.04))
    axes[1, 0].set(yscale="log", title="quality", ylabel="Fréchet distance, last generation")
    axes[1, 1].set(title="diversity", ylabel="recall, last generation", ylim=(-0.02, 1))
    plain_logarithm(axes[1, 0].yaxis, [3, 10, 30, 100, 300])
    axes[1, 0].legend(loc="upper right")
    letters(axis for axis in axes.flat if axis.axison)
    legend_below(figure, [look for name, look in _LOOKS.items() if name in drawn])
    return figure


def _against_share(axis: Axes, study: Study, scale: float, measure: str) -> None:
    look = scale_look(scale)
    found = {share: study.measured(runs, measure) for share, runs in shares(study, scale).items()}
    for share, curve in found.items():
        axis.plot([share] * len(curve.last), curve.last, look.marker, color=look.colour)
    means = [curve.last.mean() for curve in found.values()]
    axis.plot(list(found), means, "-", color=look.colour, linewidth=0.9, zorder=1.5)
    axis.plot([], [], marker=look.marker, color=look.colour, label=look.label)
    if 1.0 in found:
        control = found[1.0]
        low, high = np.min(control.low[-1]), np.max(control.high[-1])
        axis.axhspan(low, high, color=look.colour, alpha=0.15, linewidth=0)
