"""Accuracy, Fréchet distance and diversity down the generations."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from figures.evidence import Evidence, palette

ORDER = 25
CAPTION = (
    "The share of images that the classifier recognises as their prompt, the squared Fréchet "
    "distance to real images (lower is closer; its floor depends on the number of images), and the "
    "mean distance between two images of one prompt (diversity). The title names the features, and "
    "what the distance is taken to; runs that were measured differently are left out."
)
_TITLES = {"accuracy": "recognised", "frechet": "Fréchet distance", "diversity": "diversity"}


def draw(evidence: Evidence) -> Figure:
    """Draw each metric that was measured, all runs in one panel."""
    table = evidence.metrics
    how = ["features", "reference"]
    table = table[(table[how] == table[how].iloc[0]).all(axis=1)]
    features, reference = table[how].iloc[0]
    shown = [name for name in _TITLES if table[name].notna().any()]
    figure = Figure(figsize=(3.2 * len(shown), 2.8))
    colours = palette(evidence.runs)
    for axis, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        for run in evidence.runs:
            rows = table[table["run"] == run.name]
            axis.plot(rows["generation"], rows[name], "o-", color=colours[run.name], label=run.name)
        axis.set_ylim(bottom=0)
        axis.set_title(_TITLES[name])
        axis.set_xlabel("generation")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.axes[0].legend()
    figure.suptitle(f"in features of {features}, beside {reference}", fontsize=8)
    return figure
