"""Finetuning loss of every generation."""

from matplotlib.figure import Figure

from figures.evidence import Evidence
from figures.style import COLUMN, PAGE
from figures.text import shortened

ORDER = 40
CAPTION = (
    "Finetuning loss of every generation, a running mean over a tenth of the steps; later "
    "generations are darker. Where they start higher, their images are unfamiliar to the base "
    "model."
)


def draw(evidence: Evidence) -> Figure | None:
    """Draw one panel per run."""
    finetuned = {run.name: [g for g in run.generations()[1:] if (g.folder / "loss.csv").is_file()]
              for run in evidence.runs}  # fmt: skip
    runs = [run for run in evidence.runs if finetuned[run.name]]
    if not runs:
        return None
    columns = min(4, len(runs))
    rows = -(-len(runs) // columns)
    figure = Figure(figsize=(PAGE if columns > 1 else COLUMN, 1.9 * rows))
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for axis in axes.flat[len(runs) :]:
        axis.set_axis_off()
    for axis, run in zip(axes.flat, runs, strict=False):
        colour = evidence.looks[run.name].colour
        for generation in finetuned[run.name]:
            loss = generation.loss()
            smooth = loss["loss"].rolling(max(1, len(loss) // 10), min_periods=1).mean()
            shade = 0.25 + 0.75 * generation.number / finetuned[run.name][-1].number
            axis.plot(loss["step"], smooth, color=colour, alpha=shade, linewidth=0.9)
        axis.set_title(shortened(run.name, 28))
        axis.set_xlabel("step")
    for axis in axes[:, 0]:
        axis.set_ylabel("loss")
    return figure
