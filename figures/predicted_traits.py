"""Means of traits and variances of latents that the theory of prompts expects, beside measured
ones: the curves of `qtm predict`."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from figures.pieces import generations_below, letters
from figures.style import PAGE
from figures.text import formula
from figures.write import write_drawn

CAPTION = (
    "Predictions of the theory of prompts of a chain that it was not fitted to, from real images "
    "on: lines and bands are medians and 90 % intervals of the fitted theory, which are not "
    "widened by errors of its form. Means of traits are in standard deviations of generation 0, "
    "relative to its mean; the variances are those of the leading latent axes, in units of V(0), "
    "their variance in generation 0."
)
MEASURED = " Marks: such a chain, measured."
_COLUMNS, _PANEL, _COLOUR = 5, 1.3, "C0"
_VARIANCES = {"within": "$\\ln V_W / V(0)$", "between": "$\\ln V_B / V(0)$"}


def write(table: pd.DataFrame, chain: str, out: Path) -> list[Path]:
    """Write ``traits.pdf``, ``.png`` and ``.txt`` from the table of the prediction: trait,
    quantity, generation, predicted, low, high and measured, which may be missing."""
    return write_drawn(lambda: draw(table, chain), out / "traits", f"{caption(table)}\n")


def caption(table: pd.DataFrame) -> str:
    """Return the caption, which names marks where there are any."""
    return CAPTION + MEASURED * bool(table["measured"].notna().any())


def draw(table: pd.DataFrame, chain: str) -> Figure:
    """Draw a panel for the mean of each trait, then V_W and V_B of the latent axes."""
    of_axes = table["trait"].str.startswith("latent axes")
    means = table[(table["quantity"] == "mean") & ~of_axes]
    panels = [(name.replace("_", " "), rows) for name, rows in means.groupby("trait", sort=True)]
    for quantity, name in _VARIANCES.items():
        panels.append((name, table[(table["quantity"] == quantity) & of_axes]))
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(PAGE, _PANEL * rows + 0.5))
    axes = figure.subplots(rows, _COLUMNS, squeeze=False, sharex=True).ravel()
    for axis, (name, values) in zip(axes, panels, strict=False):
        _draw_panel(axis, values)
        title = axis.set_title(name)
        if "$" in name:
            formula(title)
    for i, axis in enumerate(axes):
        axis.set_visible(i < len(panels))
        if len(panels) - _COLUMNS <= i < len(panels):
            generations_below(axis)
            axis.tick_params(labelbottom=True)
    letters(axes[: len(panels)])
    figure.suptitle(f"{chain}: means of traits (s.d.) and variances of latents")
    return figure


def _draw_panel(axis: Axes, values: pd.DataFrame) -> None:
    t = values["generation"]
    axis.axhline(values["predicted"].iloc[0], color="0.7", linewidth=0.8, zorder=1)
    axis.fill_between(t, values["low"], values["high"], color=_COLOUR, alpha=0.2, linewidth=0)
    axis.plot(t, values["predicted"], color=_COLOUR)
    axis.plot(t, values["measured"], "o", color="0.15", markersize=3)
