"""Quality and diversity in every generation."""

from matplotlib.figure import Figure

from empirical.errors import UserError
from figures.evidence import Evidence
from figures.pieces import draw_curve, generations_below, legend_below
from figures.study import metrics
from figures.style import PAGE
from figures.text import shortened

ORDER = 25
CAPTION = (
    "Quality: the fraction of images that the classifier recognises as their prompt, the squared "
    "Fréchet distance to real images (lower is closer; its floor, the value of generation 0, "
    "depends on the number of images), and precision, the fraction of images that lie among real "
    "ones. Diversity: recall, the fraction of real images that lie among generated ones; the Vendi "
    "score, an effective number of images; and the mean distance between two images of a prompt. "
    "Error bars: 95 % intervals. Distances in different features cannot be compared."
)
_TITLES = {
    "accuracy": "recognised",
    "frechet": "Fréchet distance",
    "precision": "precision",
    "recall": "recall",
    "vendi": "Vendi score",
    "diversity": "diversity",
}
_FRACTIONS = ("accuracy", "precision", "recall")


def draw(evidence: Evidence) -> Figure | None:
    """Draw each available measure, all runs in one panel."""
    study = evidence.study
    by_measure = {name: _curves(evidence, name) for name in _TITLES}
    by_measure = {name: curves for name, curves in by_measure.items() if curves}
    if not by_measure:
        return None
    rows = -(-len(by_measure) // 3)
    figure = Figure(figsize=(PAGE, 1.95 * rows + 0.2 + 0.16 * len(evidence.runs) / 2))
    axes = figure.subplots(rows, min(3, len(by_measure)), squeeze=False)
    for axis in axes.flat[len(by_measure) :]:
        axis.set_axis_off()
    for axis, (name, curves) in zip(axes.flat, by_measure.items(), strict=False):
        for run, curve in curves.items():
            look = evidence.looks[run]
            draw_curve(axis, curve, look)
            reach = [(curve.mean - curve.low).clip(0), (curve.high - curve.mean).clip(0)]
            axis.errorbar(
                curve.generations, curve.mean, reach, fmt="none", ecolor=look.colour, elinewidth=0.5
            )
        # Fractions of 1 keep their marks inside the panel.
        axis.set_ylim(0, 1.04 if name in _FRACTIONS else None)
        axis.set_title(_TITLES[name])
        generations_below(axis)
    legend_below(figure, list(evidence.looks.values()), 1 if len(study.runs) < 3 else 2)
    # Generation 0 has no reference where no image was held out.
    measured = [metrics(run.generations()[-1]) for run in study.runs]
    how = {(str(m["features"]), str(m["reference"])) for m in measured if m.get("reference")}
    caption = "; ".join(
        f"in features of {features}, against {ref}" for features, ref in sorted(how)
    )
    figure.suptitle(shortened(caption, 200), fontsize=6.5)
    return figure


def _curves(evidence: Evidence, measure: str) -> dict:
    curves = {}
    for run in evidence.runs:
        try:
            curves[run.name] = evidence.study.measured([run], measure)
        except UserError:
            continue  # this run lacks the measure
    return curves
