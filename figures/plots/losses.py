"""Finetuning loss of every generation."""

from matplotlib.figure import Figure

from figures.evidence import Evidence, palette

ORDER = 40
CAPTION = (
    "Finetuning loss of every generation, a running mean over a tenth of the steps; later "
    "generations are darker. A chain that collapses gets easier to learn."
)


def draw(evidence: Evidence) -> Figure | None:
    """Draw one panel a run."""
    runs = [run for run in evidence.runs if len(run.generations()) > 1]
    if not runs:
        return None
    figure = Figure(figsize=(3.0 * len(runs), 2.6))
    colours = palette(evidence.runs)
    axes = figure.subplots(1, len(runs), squeeze=False, sharey=True)[0]
    for axis, run in zip(axes, runs, strict=True):
        later = run.generations()[1:]
        for generation in later:
            loss = generation.loss()
            smooth = loss["loss"].rolling(max(1, len(loss) // 10), min_periods=1).mean()
            shade = 0.25 + 0.75 * generation.number / len(later)
            axis.plot(loss["step"], smooth, color=colours[run.name], alpha=shade, linewidth=1.1)
        axis.set_title(run.name)
        axis.set_xlabel("step")
    axes[0].set_ylabel("loss")
    return figure
