"""One finetuned model, drawn at several CFG scales: the figure of `qtm scan`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from empirical.errors import UserError
from empirical.runs.scans import Scan, open_scan
from figures.pieces import letters, mosaic, plain_logarithm
from figures.style import PAGE
from figures.text import formula
from figures.write import write_drawn

CAPTION = (
    "One finetuned model, drawn at several CFG scales from the same prompts and noise. (a) "
    "Variance of the latents within and between prompts, relative to the images that the model "
    "learnt from; the grey band is the 90 % interval of the neutral scale, at which the variance "
    "between prompts is preserved. (b) Slope of prompt means on those of the training set. (c) "
    "Shift of trait means from the training set, in its standard deviations. (d) Quality: fraction "
    "of images that the classifier recognises, and Fréchet distance to real images. (e) Images of "
    "the same prompts and noise at every scale. Bands are 90 % intervals for these prompts."
)
_TRAITS = ("pixel_mean", "pixel_variance", "saturation", "sharpness", "entropy", "spectral_slope")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_SHOWN = 10


def write(folder: Path) -> list[Path]:
    """Write ``scan.pdf``, ``.png`` and ``.txt`` into the folder of a scan that was summarised."""
    return write_drawn(lambda: draw(open_scan(folder)), folder / "scan", f"{CAPTION}\n")


def draw(scan: Scan) -> Figure:
    """Draw the response curves of the first generation of a scan, and its contact sheet."""
    number = scan.generations[0]
    table, neutral = (_read(scan, name, number) for name in ("scan", "neutral"))
    table["component"] = table["component"].fillna(0)
    pictured = [w for w in scan.scales if _has_images(scan, number, w)]
    sheet_height = 0.36 * len(pictured) + 0.3
    figure = Figure(figsize=(PAGE, 4.4 + sheet_height), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[4.4, sheet_height])
    axes = list(top.subplots(2, 2).flat)
    _variances(axes[0], table, neutral, scan.training(number).captions)
    _slope(axes[1], table)
    _means(axes[2], table)
    _quality(axes[3], table)
    for axis in axes:
        axis.set(xlabel="CFG scale", xscale="log")
        plain_logarithm(axis.xaxis, scan.scales)
    if pictured:
        images = [scan.images(number, w)[:_SHOWN] for w in pictured]
        axes.append(bottom.subplots())
        _sheet(axes[-1], images, pictured)
    letters(axes)
    return figure


def _has_images(scan: Scan, generation: int, scale: float) -> bool:
    return any((scan.draw(generation, scale).folder / "images").glob("*.png"))


def _read(scan: Scan, name: str, generation: int) -> pd.DataFrame:
    path = scan.folder / f"{name}.csv"
    if not path.is_file():
        raise UserError(f"the scan '{scan.folder}' has no {name}.csv: run its command again")
    table = pd.read_csv(path)
    return pd.DataFrame(table[table["generation"] == generation])


def _rows_of(table: pd.DataFrame, feature: str, quantity: str) -> pd.DataFrame:
    rows = table[(table["feature"] == feature) & (table["quantity"] == quantity)]
    return pd.DataFrame(rows[rows["component"] == 0]).sort_values("scale")


def _line(axis: Axes, rows: pd.DataFrame, colour: str, label: str, unit: float = 1.0) -> None:
    """Draw a curve with its 90 % intervals."""
    rows = rows.dropna(subset=["scale"])
    x, y = rows["scale"].to_numpy(float), rows["value"].to_numpy(float) / unit
    ends = rows[["low", "high"]].to_numpy(float).T / unit
    axis.plot(x, y, "o-", color=colour, markersize=2.5, linewidth=1, label=label)
    axis.fill_between(x, *ends, color=colour, alpha=0.2, linewidth=0)


def _variances(axis: Axes, table: pd.DataFrame, neutral: pd.DataFrame, captions: list[str]) -> None:
    for quantity, colour, label in (
        ("within", _COLOURS[0], "$V_W$, within prompts"),
        ("between", _COLOURS[1], "$V_B$, between prompts"),
    ):
        rows = _rows_of(table, "latent", quantity)
        parents = rows[rows["scale"].isna()]["value"]
        if len(parents) and np.isfinite(parents.iloc[0]) and parents.iloc[0] > 0:
            _line(axis, rows, colour, label, float(parents.iloc[0]))
    axis.axhline(1, color="0.6", linewidth=0.8)
    known = neutral[(neutral["criterion"] == "V_B") & neutral["scale"].notna()]
    if len(known):
        row, (least, most) = known.iloc[0], (table["scale"].min(), table["scale"].max())
        ends = max(row["low"], least), min(row["high"], most)
        # Behind the intervals of both variances.
        axis.axvspan(*ends, color="0.85", linewidth=0, zorder=0)
        axis.axvline(row["scale"], color="0.4", linewidth=0.8)
    axis.set_title("variance / training set")
    if axis.get_legend_handles_labels()[0]:
        for text in axis.legend().get_texts():
            formula(text)


def _slope(axis: Axes, table: pd.DataFrame) -> None:
    _line(axis, _rows_of(table, "latent", "slope"), _COLOURS[2], "slope")
    axis.axhline(1, color="0.6", linewidth=0.8)
    axis.set_title("parent-offspring slope")


def _means(axis: Axes, table: pd.DataFrame) -> None:
    for trait, colour in zip(_TRAITS, _COLOURS, strict=True):
        rows, total = _rows_of(table, trait, "mean"), 0.0
        parents = rows[rows["scale"].isna()]["value"]
        for quantity in ("within", "between"):
            values = _rows_of(table, trait, quantity)
            total += float(values[values["scale"].isna()]["value"].sum())
        if parents.empty or not total > 0:
            continue
        shifted = rows.assign(
            **{name: rows[name] - float(parents.iloc[0]) for name in ("value", "low", "high")}
        )
        _line(axis, shifted, colour, trait.replace("_", " "), np.sqrt(total))
    axis.axhline(0, color="0.6", linewidth=0.8)
    axis.set_title("shift of trait means (sd)")
    if axis.get_legend_handles_labels()[0]:
        # Six curves leave no corner free: the legend has a place above them.
        low, high = axis.get_ylim()
        axis.set_ylim(low, high + 0.35 * (high - low))
        axis.legend(ncols=2, fontsize=6, loc="upper left")


def _quality(axis: Axes, table: pd.DataFrame) -> None:
    """Draw what was measured of the two, on an axis each."""
    curves = [
        (name, _rows_of(table, "images", quantity), colour)
        for name, quantity, colour in (
            ("recognised", "accuracy", _COLOURS[0]),
            ("Fréchet", "frechet", _COLOURS[1]),
        )
    ]
    curves = [curve for curve in curves if len(curve[1])]
    sides = [axis, axis.twinx()] if len(curves) == 2 else [axis]
    for side, (name, rows, colour) in zip(sides, curves, strict=False):
        _line(side, rows, colour, name)
        if len(curves) == 2:
            side.tick_params(axis="y", colors=colour)
            side.grid(False)
    places = (" (left)", " (right)") if len(curves) == 2 else ("",)
    names = (f"{name}{place}" for (name, _, _), place in zip(curves, places, strict=False))
    axis.set_title(", ".join(names) or "quality")


def _sheet(axis: Axes, images: list[np.ndarray], scales: Sequence[float]) -> None:
    pixels = mosaic(images)
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, aspect="equal")
    height = pixels.shape[0] / len(scales)
    axis.set_yticks([height * (i + 0.5) for i in range(len(scales))], [f"{w:g}" for w in scales])
    axis.set_xticks([])
    axis.set(ylabel="CFG scale", title="images")
    axis.grid(False)
