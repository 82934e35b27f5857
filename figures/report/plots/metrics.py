"""Quality and diversity down the generations."""

from matplotlib.figure import Figure

from empirical.errors import UserError
from figures.evidence import Evidence
from figures.pieces import draw_curve, generations_below, legend_below
from figures.study import metrics
from figures.style import PAGE
from figures.text import shortened

ORDER = 25
CAPTION = (
    "Quality: the share of images that the classifier recognises as their prompt, the squared "
    "Fréchet distance to real images (lower is closer; its floor, the value of generation 0, "
    "depends on the number of images), and precision, the share of images that lie among real "
    "ones. Diversity: recall, the share of real images that lie among those drawn; the Vendi "
    "score, an effective number of images; and the mean distance of two images of one prompt. "
    "Error bars: 95 % intervals. The distances of runs that were measured in other features "
    "cannot be compared."
)
_TITLES = {
    "accuracy": "recognised",
    "frechet": "Fréchet distance",
    "precision": "precision",
    "recall": "recall",
    "vendi": "Vendi score",
    "diversity": "diversity",
}


def draw(evidence: Evidence) -> Figure | None:
    """Draw each measure that was taken, all runs in one panel."""
    study = evidence.study
    found = {name: _curves(evidence, name) for name in _TITLES}
    found = {name: curves for name, curves in found.items() if curves}
    if not found:
        return None
    rows = -(-len(found) // 3)
    figure = Figure(figsize=(PAGE, 1.95 * rows + 0.2 + 0.16 * len(evidence.runs) / 2))
    axes = figure.subplots(rows, min(3, len(found)), squeeze=False)
    for axis in axes.flat[len(found) :]:
        axis.set_axis_off()
    for axis, (name, curves) in zip(axes.flat, found.items(), strict=False):
        for run, curve in curves.items():
            look = evidence.looks[run]
            draw_curve(axis, curve, look)
            reach = [(curve.mean - curve.low).clip(0), (curve.high - curve.mean).clip(0)]
            axis.errorbar(
                curve.generations, curve.mean, reach, fmt="none", ecolor=look.colour, elinewidth=0.5
            )
        axis.set_ylim(bottom=0)
        axis.set_title(_TITLES[name])
        generations_below(axis)
    legend_below(figure, list(evidence.looks.values()), 1 if len(study.runs) < 3 else 2)
    measured = [metrics(run.generation(0)) for run in study.runs]
    how = {(str(m["features"]), str(m["reference"])) for m in measured if "reference" in m}
    said = "; ".join(f"in features of {features}, beside {ref}" for features, ref in sorted(how))
    figure.suptitle(shortened(said, 200), fontsize=6.5)
    return figure


def _curves(evidence: Evidence, measure: str) -> dict:
    curves = {}
    for run in evidence.runs:
        try:
            curves[run.name] = evidence.study.measured([run], measure)
        except UserError:
            continue  # this run was not measured so
    return curves
