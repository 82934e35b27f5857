"""Trait means: each chain, predicted from the others."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.prompts.chains import PromptChain
from analysis.prompts.quantities import AXES
from analysis.prompts.scores import THEORY, predictions
from figures.evidence import Evidence
from figures.pieces import generations_below, legend_below, letters
from figures.style import PAGE, Look

ORDER = 34
CAPTION = (
    "Means of traits, in standard deviations of generation 0 from its mean. Marks: measured. Lines "
    "and bands: the median and the 90 % interval of the theory of prompts, fitted to the runs at "
    "other CFG scales alone and run from real images on. Intervals are those of the fit, without "
    "errors of its form; beyond the scales of the other runs, at the least and the greatest one, "
    "it extrapolates. Runs with other prompts or settings than the first, or whose scale is not "
    "constant, are left out."
)
# Of these one is held out, and a theory takes two.
_SCALES = 3
_COLUMNS, _PANEL = 4, 1.3


def draw(evidence: Evidence) -> Figure | None:
    """Draw a panel for each trait; None where fewer than three scales have comparable runs."""
    table = predicted(evidence.prompt_chains)
    if table is None:
        return None
    names = sorted(table["trait"].unique())
    rows = -(-len(names) // _COLUMNS)
    figure = Figure(figsize=(PAGE, _PANEL * rows + 0.8))
    axes = figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True).ravel()
    for i, axis in enumerate(axes):
        axis.set_visible(i < len(names))
        if len(names) - _COLUMNS <= i < len(names):
            generations_below(axis)
            axis.tick_params(labelbottom=True)
    for axis, name in zip(axes, names, strict=False):
        axis.axhline(0, color="0.7", linewidth=0.8, zorder=1)
        axis.set_title(name.replace("_", " "))
        for run, part in table[table["trait"] == name].groupby("run"):
            _draw_chain(axis, part, evidence.looks[str(run)])
    letters(axes[: len(names)])
    looks = [evidence.looks[run.name] for run in evidence.runs if run.name in set(table["run"])]
    legend_below(figure, looks, 1 if len(looks) < 3 else 2)
    return figure


def predicted(chains: list[PromptChain]) -> pd.DataFrame | None:
    """Return the rows of trait means at scales held out one at a time, as `predictions` has them;
    None where the chains allow none."""
    if len({chain.label for chain in chains}) < _SCALES or not chains[0].traits:
        return None
    table = predictions(chains, "scale", widen=False)
    of_theory = (table["model"] == THEORY) & (table["quantity"] == "mean")
    return table[of_theory & ~table["trait"].str.startswith(AXES)]


def _draw_chain(axis: Axes, part: pd.DataFrame, look: Look) -> None:
    t = part["generation"]
    axis.fill_between(t, part["low"], part["high"], color=look.colour, alpha=0.13, linewidth=0)
    axis.plot(t, part["predicted"], color=look.colour, linestyle=look.line)
    axis.plot(t, part["measured"], look.marker, color=look.colour, markersize=3)
