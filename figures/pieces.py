"""Parts shared by several figures: curves with bands, panel letters, sheets of images."""

import math
from collections.abc import Iterable, Sequence
from string import ascii_lowercase

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from empirical.runs.record import Generation
from empirical.runs.spacing import spaced
from figures.study import Curve
from figures.style import Look
from figures.text import formula, is_formula, name_lines

# Of the height of a panel, above its data: half a mark and more.
_ROOM = 0.05


def draw_curve(axis: Axes, curve: Curve, look: Look, **changes) -> None:
    """Draw the mean over runs, with a band from lowest to highest if there are several."""
    settings = {**look.settings(), **changes}
    axis.plot(curve.generations, curve.mean, **settings)
    if len(curve.each) == 1:
        return
    axis.fill_between(
        curve.generations,
        curve.low,
        curve.high,
        color=settings["color"],
        alpha=0.15,
        linewidth=0,
        zorder=1.5,
    )


def generations_below(axis: Axes) -> None:
    """Label the horizontal axis as generations, with integer ticks."""
    axis.set_xlabel("generation")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def from_zero(axis: Axes, most: float | None = None) -> None:
    """Begin the vertical axis at zero, or below negative data, and end it above the data, or at
    `most`, with room for whole marks at both ends."""
    low, high = min(axis.dataLim.y0, 0.0), axis.dataLim.y1 if most is None else most
    margin = _ROOM * (high - low)
    axis.set_ylim(low - margin if low < 0 else 0.0, high + margin)
    # A mark at zero lies on the axis.
    for line in axis.lines:
        line.set_clip_on(False)


def plain_logarithm(axis, ticks: Sequence[float]) -> None:
    """Put plain numbers on a logarithmic axis (`xaxis` or `yaxis`) at `ticks`; between the ends,
    those too close to a neighbour have no number."""
    shown = _apart(ticks)
    axis.set_major_locator(FixedLocator(list(ticks)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}" if value in shown else ""))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(FixedLocator([]))


def _apart(ticks: Sequence[float], least: float = 0.06) -> set[float]:
    """Choose ticks that are a fraction of the logarithmic range apart, with both ends."""
    ordered = sorted(set(ticks))
    if len(ordered) < 3 or ordered[0] <= 0:
        return set(ordered)
    gap = least * math.log(ordered[-1] / ordered[0])
    shown = [ordered[0]]
    for tick in ordered[1:-1]:
        if min(math.log(tick / shown[-1]), math.log(ordered[-1] / tick)) >= gap:
            shown.append(tick)
    return {*shown, ordered[-1]}


def letters(axes: Iterable[Axes]) -> None:
    """Put a, b, c, ... before the titles of panels."""
    for letter, axis in zip(ascii_lowercase, axes, strict=False):
        title, marked = axis.get_title(), is_formula(axis.title)
        moved = axis.set_title(f"{letter}   {title}" if title else letter, loc="left")
        if marked:
            formula(moved)
        if title:
            axis.set_title("")


def legend_below(
    figure: Figure | SubFigure, looks: Sequence[Look], columns: int | None = None
) -> None:
    """Put one legend for all panels below them."""
    handles = [Line2D([], [], **look.settings()) for look in looks]
    # Matplotlib omits lines whose label begins with an underscore, so labels are set afterwards.
    legend = figure.legend(
        handles, [str(i) for i in range(len(looks))], loc="outside lower center",
        ncols=columns or len(looks),
    )  # fmt: skip
    name_lines(legend, [look.label for look in looks])


def mosaic(rows: Sequence[UInt8[np.ndarray, "_ _ _ c"]]) -> UInt8[np.ndarray, "height width *c"]:
    """Stack rows of images [n, height, width, channels] vertically, white between them."""
    strips = []
    for images in rows:
        step = max(1, images.shape[1] // 96)
        small = images[:, ::step, ::step]
        margin = max(1, small.shape[1] // 32)
        padded = np.pad(small, ((0, 0), (0, margin), (0, margin), (0, 0)), constant_values=255)
        strips.append(np.concatenate(list(padded), axis=1))
    sheet = np.concatenate(strips)
    return sheet[..., 0] if sheet.shape[-1] == 1 else sheet


def show_mosaic(
    axis: Axes, rows: Sequence[UInt8[np.ndarray, "_ _ _ c"]], names: Sequence[str] | None
) -> None:
    """Draw rows of images, with row names at the left unless `names` is None."""
    pixels = mosaic(rows)
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
    side = pixels.shape[0] / len(rows)
    axis.set_xticks([])
    axis.set_yticks([] if names is None else (np.arange(len(rows)) + 0.5) * side, names or [])
    axis.tick_params(length=0)
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)


def probes(generation: Generation) -> UInt8[np.ndarray, "n h w c"] | None:
    """Return the probe images of a generation, None where they are not stored."""
    stored = (generation.folder / "probes").glob("[!.]*.png")
    return generation.probes() if any(path.is_file() for path in stored) else None


def stored_images(generation: Generation, count: int) -> UInt8[np.ndarray, "n h w c"] | None:
    """Return images of a generation, cycling through prompts, of more prompts than images through
    evenly spaced ones; None if fewer than `count` exist."""
    rows = generation.metadata()
    stored = {path.name for path in (generation.folder / "images").glob("*.png")}
    members: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row["file_name"] in stored:
            members.setdefault(row["text"], []).append(index)
    turns = [
        indices[place]
        for place in range(max(map(len, members.values()), default=0))
        for indices in members.values()
        if place < len(indices)
    ]
    if len(turns) < count:
        return None
    return generation.images([turns[place] for place in spaced(len(members), count)])
