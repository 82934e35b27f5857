"""Quality against diversity, as a path through the generations."""

from matplotlib.figure import Figure

from empirical.errors import UserError
from figures.evidence import Evidence
from figures.pieces import legend_below
from figures.style import COLUMN

ORDER = 27
CAPTION = (
    "Precision against recall of real images, a path for each run; small marks are generations, "
    "the large one is the last. Diversity is to the right, realism at the top: a collapse moves "
    "left, down, or both."
)


def draw(evidence: Evidence) -> Figure | None:
    """Draw one path per run."""
    figure = Figure(figsize=(COLUMN, 2.6 + 0.16 * len(evidence.runs)))
    axis = figure.subplots()
    for run in evidence.runs:
        try:
            recall, precision = (
                evidence.study.measured([run], name).mean for name in ("recall", "precision")
            )
        except UserError:
            continue
        look = {**evidence.looks[run.name].settings(), "markersize": 1.8}
        axis.plot(recall, precision, **look)
        axis.plot(recall[-1:], precision[-1:], **{**look, "markersize": 6, "label": None})
    if not axis.lines:
        return None
    axis.set(xlim=(-0.03, 1.03), ylim=(0, 1.03), xlabel="recall", ylabel="precision")
    legend_below(figure, list(evidence.looks.values()), 1)
    return figure
