"""Named results of the field: closed forms against life cycles, selection and the exact mixture."""

import math

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from figures.pieces import letters
from figures.study import Study
from figures.style import PAGE
from figures.text import formula
from qtm import results
from qtm.results._result import Panel

NUMBER = 11
MADE_BY = "qtm.results, with the keys of its files; no runs"
CAPTION = (
    "Results of the literature on recursive training and on guidance, one panel each, computed by "
    "this package (marks, with standard errors where they are random) beside the form expected "
    "(lines; dashed lines are limits, or the value without the effect). Drift by refitting is "
    "small, and accumulating images bounds it, by pi squared over 6 for the error of the mean; "
    "a subsample of all images doubles that bound. Fresh images are best weighted by the golden "
    "ratio, discount the errors of earlier generations, and give early stopping, temperature and "
    "biased loops a point of rest. A typical refitted Gaussian loses its standard deviation after "
    "N generations, a category is lost after a time in proportion to its count. Three operators "
    "of guidance leave a Gaussian three variances; curation raises mean fitness, and a filter of "
    "few images is weaker than its fraction. Without lines of an expected form, because only sign "
    "and shape are known: strong guidance splits a component (few steps), drives images to the "
    "boundary of their support, and by every usual schedule takes variance, which a window of "
    "negative guidance preserves. docs/named-results.md states every result with its source."
)
_COLUMNS = 4
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_MARKERS = ("o", "s", "D", "^")


def draw(study: Study) -> Figure:
    """Draw a panel for each named result; runs are not needed."""
    names = results.names()
    rows = math.ceil(len(names) / _COLUMNS)
    figure = Figure(figsize=(PAGE, 1.8 * rows))
    axes = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axis, name in zip(axes, names, strict=False):
        _panel(axis, results.reproduce(name).panel)
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    letters(axes[: len(names)])
    return figure


def _panel(axis: Axes, panel: Panel) -> None:
    if panel.level is not None:
        axis.axhline(panel.level, color="0.5", linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)
    for series, colour, marker in zip(panel.series, _COLOURS, _MARKERS, strict=False):
        label = series.label or None
        if series.line is not None:
            axis.plot(*series.line, color=colour, label=label, zorder=2)
            label = None
        if series.marks is not None:
            axis.errorbar(*series.marks, yerr=series.errors, fmt=marker, color=colour,
                          label=label, elinewidth=0.8, zorder=3)  # fmt: skip
    axis.set_title(panel.title)
    for line, label, letter in ((axis.xaxis, panel.x, "x"), (axis.yaxis, panel.y, "y")):
        line.set_label_text(label)
        if "$" in label:
            formula(line.label)
        if letter in panel.logarithmic:
            axis.set(**{f"{letter}scale": "log"})
            _few_ticks(line)
        else:
            line.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    if panel.ticks:
        axis.set_xticks(range(len(panel.ticks)), panel.ticks, rotation=35, ha="right")
        axis.tick_params(axis="x", pad=1)
        axis.margins(x=0.1)
    labels = [series.label for series in panel.series if series.label]
    if labels:
        above = panel.legend == "above"
        if above:
            _make_room(axis, len(labels), "y" in panel.logarithmic)
        axis.legend(loc="upper left" if above else panel.legend, handlelength=1.2,
                    borderaxespad=0.1, fontsize=6)  # fmt: skip


def _few_ticks(line: Axis) -> None:
    """Put plain numbers on a logarithmic axis: powers of 10, and 2 and 5 times them if few."""
    low, high = line.get_view_interval()
    few = high / low < 30
    line.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if few else (1.0,)))
    line.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    line.set_minor_formatter(NullFormatter())


def _make_room(axis: Axes, rows: int, logarithmic: bool) -> None:
    """Raise the upper limit of y so that a legend of some rows fits above all values."""
    low, high = axis.get_ylim()
    fraction = 0.11 * rows
    if logarithmic:
        axis.set_ylim(low, high * (high / low) ** (fraction / (1 - fraction)))
    else:
        axis.set_ylim(low, high + (high - low) * fraction / (1 - fraction))
