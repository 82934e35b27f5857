"""A trait series, its best life cycle, and a forecast from the first half."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import chi2, norm

from analysis.trait_series import SeriesResult
from figures.pieces import letters
from figures.style import COLUMN
from figures.write import write_drawn

CAPTION = (
    "Points: sample means (a) and variances (b) with 90 % sampling intervals. Solid line and band: "
    "the best life cycle fitted to all samples, and its 90 % prediction interval of samples. "
    "Dashed: the same life cycle fitted only to the samples left of the dotted line."
)
_FITTED, _HELD_OUT = "#0072B2", "#D55E00"


def write(result: SeriesResult, out: Path) -> list[Path]:
    """Write the figure as ``out/series.pdf`` and ``.png``, with its caption in ``series.txt``."""
    return write_drawn(lambda: draw(result), out / "series", f"{CAPTION}\n")


def draw(result: SeriesResult) -> Figure:
    """Draw means and variances of a series with the best life cycle, if one was fitted."""
    s = result.series
    figure = Figure(figsize=(COLUMN, 4.2), layout="constrained")
    axes = figure.subplots(2, sharex=True)
    half = norm.ppf(0.95) * np.sqrt(s.error)
    axes[0].errorbar(s.time, s.mean, half, fmt="o", color="black", markersize=2.5, linewidth=0.8)
    known = ~s.lone
    k, V = s.n[known] - 1, s.variance[known]
    ends = np.abs(np.stack([k * V / chi2.ppf(0.95, k), k * V / chi2.ppf(0.05, k)]) - V)
    axes[1].errorbar(s.time[known], V, ends, fmt="o", color="black", markersize=2.5, linewidth=0.8)
    name = result.best_cycle
    if name is not None:
        table = result.predictions
        mine = table[table["model"] == name]
        for axis, quantity in zip(axes, ("mean", "variance"), strict=True):
            shown = mine[mine["quantity"] == quantity]
            _band(axis, shown[shown["kind"] == "fitted"], _FITTED, "-", "fitted to all samples")
            held_out = shown[shown["kind"] == "held out"]
            if len(held_out):
                _band(axis, held_out, _HELD_OUT, "--", "fitted to the first half")
                before = s.time[s.time < held_out["generation"].min()].max()
                between = (before + held_out["generation"].min()) / 2
                axis.axvline(between, color="0.5", linestyle=":", linewidth=0.8)
        axes[0].set_title(name)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    axes[0].set_ylabel("mean")
    axes[1].set(ylabel="variance", xlabel="generation" if result.cycles else "time", ylim=(0, None))
    figure.align_ylabels(axes)
    letters(axes)
    return figure


def _band(axis, rows: pd.DataFrame, colour: str, line: str, label: str) -> None:
    if len(rows):
        x = rows["generation"]
        axis.plot(x, rows["predicted"], line, color=colour, label=label, linewidth=1)
        axis.fill_between(x, rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
