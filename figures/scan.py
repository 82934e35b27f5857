"""One finetuned model, drawn at several CFG scales: the figure of `qtm scan`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from empirical.errors import UserError
from empirical.runs.scans import Scan, open_scan
from figures import missing
from figures.pieces import letters, mosaic, plain_logarithm
from figures.style import PAGE
from figures.text import formula
from figures.write import write_drawn

_VARIANCES = (
    "Variance of the latents {} prompts, relative to the images that the model "
    "learnt from; lines and grey bands are the scales at which the variance between prompts is "
    "that of these images, with their 90 % intervals."
)
_SLOPE = "Slope of prompt means on those of the training set."
_MEANS = "Shift of trait means from the training set, in its standard deviations."
_QUALITY = {
    "accuracy": "fraction of images that the classifier recognises",
    "frechet": "Fréchet distance to {real}",
}
_IMAGES = "Images of the same prompts and noise at every scale"
_TRAITS = ("pixel_mean", "pixel_variance", "saturation", "sharpness", "entropy", "spectral_slope")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_SHOWN = 10


@dataclass(frozen=True)
class _Panel:
    """A panel with data, and the part of the caption that describes it."""

    draw: Callable[[Axes], None]
    caption: str


@dataclass(frozen=True)
class _Rows:
    """Rows of images with their names: those of generation 0 where they are stored, and those at
    each scale."""

    images: list[UInt8[np.ndarray, "n h w c"]]
    names: list[str]


def write(folder: Path) -> list[Path]:
    """Write ``scan.pdf``, ``.png`` and ``.txt`` into the folder of a scan that was summarised."""
    scan = open_scan(folder)
    return write_drawn(lambda: draw(scan), folder / "scan", f"{caption(scan)}\n")


def draw(scan: Scan) -> Figure:
    """Draw the response curves of the first generation of a scan, and its contact sheet."""
    panels, sheet = _panels(scan), _sheet_rows(scan)
    rows = max(1, -(-len(panels) // 2))
    height, sheet_height = 2.2 * rows, 0.36 * len(sheet.images) + 0.3
    figure = Figure(figsize=(PAGE, height + sheet_height), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[height, sheet_height])
    axes = list(top.subplots(rows, 2, squeeze=False).flat)
    for axis in axes[len(panels) :]:
        axis.remove()
    axes = axes[: len(panels)]
    for axis, panel in zip(axes, panels, strict=True):
        panel.draw(axis)
        axis.set(xlabel="CFG scale", xscale="log")
        plain_logarithm(axis.xaxis, scan.scales)
    if sheet.images:
        axes.append(bottom.subplots())
        _sheet(axes[-1], sheet)
    letters(axes)
    return figure


def caption(scan: Scan) -> str:
    """Return the caption of the figure of a scan: of the panels that it has, and why others are
    missing."""
    parts, sheet = [panel.caption for panel in _panels(scan)], _sheet_rows(scan)
    if sheet.images:
        real = "; above them the real images of these prompts" if "real" in sheet.names else ""
        parts.append(f"{_IMAGES}{real}.")
    described = " ".join(
        f"({letter}) {part}" for letter, part in zip(ascii_lowercase, parts, strict=False)
    )
    number = scan.generations[0]
    quality = scan.quality(number, scan.scales[0])
    lacking = [name for name in _QUALITY if quality.get(name) is None]
    captions = scan.draw(number, scan.scales[0]).captions
    sentences = (
        "One finetuned model, drawn at several CFG scales from the same prompts and noise.",
        described,
        "Bands are 90 % intervals for these prompts.",
        missing.sentence(lacking, quality, captions),
    )
    return " ".join(filter(None, sentences))


def _panels(scan: Scan) -> list[_Panel]:
    """Return the panels of response curves for which the first generation has data."""
    number = scan.generations[0]
    table, neutral = (_read(scan, name, number) for name in ("scan", "neutral"))
    table["component"] = table["component"].fillna(0)
    curves = [name for name in _QUALITY if len(_rows_of(table, "images", name))]
    real = "held-out real images"
    if not missing.is_held_out(scan.quality(number, scan.scales[0])):
        real = "the real images of generation 0 (none are held out)"
    quality = " and ".join(_QUALITY[name].format(real=real) for name in curves)
    variances = " and ".join(quantity for quantity, *_ in _relative(table))
    panels = {
        _Panel(
            lambda axis: _variances(axis, table, neutral), _VARIANCES.format(variances)
        ): variances,
        _Panel(lambda axis: _slope(axis, table), _SLOPE): len(_rows_of(table, "latent", "slope")),
        _Panel(lambda axis: _means(axis, table), _MEANS): _shifts(table),
        _Panel(lambda axis: _quality(axis, table), f"Quality: {quality}."): curves,
    }
    return [panel for panel, data in panels.items() if data]


def _sheet_rows(scan: Scan) -> _Rows:
    """Return the rows of the contact sheet, none where no image is stored."""
    number = scan.generations[0]
    scales = [w for w in scan.scales if _has_images(scan, number, w)]
    rows = _Rows([scan.images(number, w)[:_SHOWN] for w in scales], [f"{w:g}" for w in scales])
    first = scan.run.generation(0)
    if not rows.images or number != 1 or not (first.folder / "images").is_dir():
        return rows
    # The first generation has the prompts of generation 0, image by image.
    names = [row["file_name"] for row in first.metadata()[: len(rows.images[0])]]
    if not all((first.folder / "images" / name).is_file() for name in names):
        return rows
    real = first.images(range(len(names)))
    if real.shape != rows.images[0].shape:
        return rows
    return _Rows([real, *rows.images], ["real", *rows.names])


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


def _relative(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame, float]]:
    """Return the variances of the latents that are known of the training set: quantity, curve, and
    the value of the training set."""
    known = []
    for quantity in ("within", "between"):
        rows = _rows_of(table, "latent", quantity)
        parents = rows[rows["scale"].isna()]["value"]
        if len(parents) and np.isfinite(parents.iloc[0]) and parents.iloc[0] > 0:
            known.append((quantity, rows, float(parents.iloc[0])))
    return known


def _variances(axis: Axes, table: pd.DataFrame, neutral: pd.DataFrame) -> None:
    looks = {
        "within": (_COLOURS[0], "$V_W$, within prompts"),
        "between": (_COLOURS[1], "$V_B$, between prompts"),
    }
    for quantity, rows, unit in _relative(table):
        _line(axis, rows, *looks[quantity], unit)
    axis.axhline(1, color="0.6", linewidth=0.8)
    known = neutral[(neutral["criterion"] == "V_B") & neutral["scale"].notna()]
    least, most = table["scale"].min(), table["scale"].max()
    for row in known.to_dict("records"):
        # Behind the intervals of both variances.
        axis.axvspan(
            max(row["low"], least), min(row["high"], most), color="0.85", linewidth=0, zorder=0
        )
        axis.axvline(row["scale"], color="0.4", linewidth=0.8)
    axis.set_title("variance / training set")
    if axis.get_legend_handles_labels()[0]:
        for text in axis.legend().get_texts():
            formula(text)


def _slope(axis: Axes, table: pd.DataFrame) -> None:
    _line(axis, _rows_of(table, "latent", "slope"), _COLOURS[2], "slope")
    axis.axhline(1, color="0.6", linewidth=0.8)
    axis.set_title("parent-offspring slope")


def _shifts(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame, float]]:
    """Return the shift of each trait's mean from the training set: trait, curve, and the trait's
    standard deviation in the training set."""
    shifts = []
    for trait in _TRAITS:
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
        shifts.append((trait, shifted, float(np.sqrt(total))))
    return shifts


def _means(axis: Axes, table: pd.DataFrame) -> None:
    colours = dict(zip(_TRAITS, _COLOURS, strict=True))
    for trait, rows, unit in _shifts(table):
        _line(axis, rows, colours[trait], trait.replace("_", " "), unit)
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
    axis.set_title(", ".join(names))


def _sheet(axis: Axes, rows: _Rows) -> None:
    pixels = mosaic(rows.images)
    axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, aspect="equal")
    height = pixels.shape[0] / len(rows.images)
    axis.set_yticks([height * (i + 0.5) for i in range(len(rows.names))], rows.names)
    axis.set_xticks([])
    axis.set(ylabel="CFG scale", title="images")
    axis.grid(False)
