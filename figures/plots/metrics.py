"""Accuracy, Fréchet distance and diversity down the generations."""

from matplotlib.figure import Figure

from figures.evidence import Evidence, palette

ORDER = 25
CAPTION = (
    "What the model's classifier says: the share of images recognised as their prompt, the squared "
    "Fréchet distance to real images (lower is closer; its floor depends on the number of images), "
    "and the mean distance between two images of one prompt (diversity)."
)
_TITLES = {"accuracy": "recognised", "frechet": "Fréchet distance", "diversity": "diversity"}


def draw(evidence: Evidence) -> Figure:
    """Draw each metric that was measured, all runs in one panel."""
    table = evidence.metrics
    shown = [name for name in _TITLES if table[name].notna().any()]
    figure = Figure(figsize=(3.2 * len(shown), 2.8))
    colours = palette(evidence.runs)
    for axis, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for run in evidence.runs:
            rows = table[table["run"] == run.name]
            axis.plot(rows["generation"], rows[name], "o-", color=colours[run.name])
        axis.set_ylim(bottom=0)
        axis.set_title(_TITLES[name])
        axis.set_xlabel("generation")
    return figure
