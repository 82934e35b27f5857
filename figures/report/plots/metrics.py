"""Quality and diversity in every generation."""

from collections.abc import Collection

from matplotlib.figure import Figure

from empirical.errors import UserError
from figures import missing
from figures.evidence import Evidence
from figures.pieces import draw_curve, from_zero, generations_below, legend_below
from figures.study import Curve, metrics
from figures.style import PAGE
from figures.text import printable, shortened

ORDER = 25
_QUALITY = {
    "accuracy": "the fraction of images that the classifier recognises as their prompt",
    "frechet": "the squared Fréchet distance to real images (lower is closer{floor})",
    "precision": "the fraction of images that lie among real ones (precision)",
}
_DIVERSITY = {
    "recall": "the fraction of real images that lie among generated ones (recall)",
    "vendi": "the Vendi score, an effective number of images",
    "diversity": "the mean distance between two images of a prompt",
}
_FLOOR = "; its floor, the value of generation 0, depends on the number of images"
_REST = "Error bars: 95 % intervals. Distances in different features cannot be compared."
_TITLES = {
    "accuracy": "recognised",
    "frechet": "Fréchet distance",
    "precision": "precision",
    "recall": "recall",
    "vendi": "Vendi score",
    "diversity": "diversity",
}
_FRACTIONS = ("accuracy", "precision", "recall")


def _caption(drawn: Collection[str], floor: bool) -> str:
    """Return the description of the measures that are drawn."""
    sentences = []
    for name, kind in (("Quality", _QUALITY), ("Diversity", _DIVERSITY)):
        texts = [text.format(floor=_FLOOR * floor) for key, text in kind.items() if key in drawn]
        if texts:
            sentences.append(f"{name}: {'; '.join(texts)}.")
    return " ".join((*sentences, _REST))


CAPTION = _caption(_TITLES, True)


def draw(evidence: Evidence) -> Figure | None:
    """Draw each available measure, all runs in one panel."""
    study, by_measure = evidence.study, _measured(evidence)
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
        from_zero(axis, 1.0 if name in _FRACTIONS else None)
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


def caption(evidence: Evidence) -> str:
    """Return the caption of the measures that are drawn, and why others are missing."""
    by_measure = _measured(evidence)
    begins = [curve.generations[0] == 0 for curve in by_measure.get("frechet", {}).values()]
    lacking: dict[tuple[str, str], list[str]] = {}
    for name in _TITLES:
        for run in evidence.runs:
            if run.name not in by_measure.get(name, {}):
                last = run.generations()[-1]
                reason = missing.reason(name, metrics(last), last.captions)
                lacking.setdefault((name, reason), []).append(run.name)
    parts = []
    for (name, reason), runs in lacking.items():
        which = "" if len(runs) == len(evidence.runs) else f" of {', '.join(runs)}"
        parts.append(f"{missing.NAMES[name]}{which} ({reason})")
    sentences = [_caption(by_measure, any(begins))]
    if begins and not all(begins):
        sentences.append(f"Without generation 0: {missing.NOT_HELD_OUT}.")
    if parts:
        sentences.append(f"Not measured: {', '.join(parts)}.")
    return printable(" ".join(sentences))


def _measured(evidence: Evidence) -> dict[str, dict[str, Curve]]:
    """Return the curves of each measure that any run has, by run name."""
    by_measure = {name: _curves(evidence, name) for name in _TITLES}
    return {name: curves for name, curves in by_measure.items() if curves}


def _curves(evidence: Evidence, measure: str) -> dict[str, Curve]:
    curves = {}
    for run in evidence.runs:
        try:
            curves[run.name] = evidence.study.measured([run], measure)
        except UserError:
            continue  # this run lacks the measure
    return curves
