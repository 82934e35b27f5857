"""Selection by guidance and transmission by finetuning: the figures of `qtm select`."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from empirical.errors import UserError
from figures.pieces import generations_below, letters
from figures.style import PAGE
from figures.text import formula, shortened
from figures.write import write_drawn

_PARTS_CAPTION = (
    "Changes of the variance of the latents {} in every generation, in units of all variance of "
    "generation 0. Passed on: images that the finetuned model draws without guidance, less the "
    "images that it learnt from. Selected: the same prompts and noise with guidance, less those "
    "without. Training set: what was added to it or left out. The bars add up to the line, the "
    "change from one generation to the next."
)
TRAITS_CAPTION = (
    "(a) Selection differentials: by how many standard deviations within prompts guidance moves "
    "each trait, averaged over prompts, from the same noise. A dot marks those whose 90 % "
    "interval includes zero. (b) Transmission: slope of the prompt means of unguided images on "
    "those of the training set, with 90 % intervals; 1 is complete inheritance, below it prompts "
    "move together. Intervals are for these prompts, where these have images enough."
)
# Okabe & Ito.
_COLOURS = {"transmission": "#0072B2", "selection": "#D55E00", "inflow": "#999999"}
_NAMES = {"transmission": "passed on", "selection": "selected", "inflow": "training set"}
_ROWS = (("within", "change of $V_W$"), ("between", "change of $V_B$"))
# Of runs with one image a prompt and no replicate only the sum is known.
_TOTAL = (("variance", "change of the variance"),)
_LATENTS = ("latent", "latent_pc")
_THESE = "these prompts"
_MOST_RUNS = 6


def write(selection: pd.DataFrame, price: pd.DataFrame, out: Path) -> list[Path]:
    """Write the figures of the tables of `qtm select`: ``out/parts`` and ``out/traits``, each as
    pdf and png with its caption as txt. One that lacks its data is left out."""
    figures = {
        "parts": (lambda: draw_parts(price), lambda: parts_caption(price)),
        "traits": (lambda: draw_traits(selection), lambda: TRAITS_CAPTION),
    }
    paths = []
    for name, (draw, caption) in figures.items():
        with suppress(UserError):
            paths += write_drawn(draw, out / name, f"{caption()}\n")
    return paths


def parts_caption(price: pd.DataFrame) -> str:
    """Return the caption of `draw_parts`."""
    return _PARTS_CAPTION.format(
        "within prompts (a) and between prompts (b)"
        if separates(price)
        else "(prompts have one image and no replicate, so that its parts are unknown)"
    )


def separates(price: pd.DataFrame) -> bool:
    """Return whether V_W and V_B of any of the drawn runs are known."""
    table = _of_latents(price)
    within = table[(table["quantity"] == "within") & table["run"].isin(_drawn(table))]
    return bool(within["after"].notna().any())


def _drawn(table: pd.DataFrame) -> list[str]:
    """Return the runs that have a place in a figure."""
    return list(dict.fromkeys(table["run"]))[:_MOST_RUNS]


def draw_parts(price: pd.DataFrame, names: Mapping[str, str] | None = None) -> Figure:
    """Draw the Price decomposition of V_W and V_B of the latents, a column for each run."""
    table = _of_latents(price)
    runs = _drawn(table)
    rows = _ROWS if separates(price) else _TOTAL
    figure = Figure(figsize=(PAGE, 0.7 + 1.6 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(runs), sharex="col", sharey="row", squeeze=False)
    for column, run in enumerate(runs):
        mine = table[table["run"] == run]
        unit = _unit(mine[mine["generation"] == mine["generation"].min()])
        for row, (quantity, _) in enumerate(rows):
            _bars(axes[row, column], mine[mine["quantity"] == quantity], unit)
        title = shortened((names or {}).get(run, run), _letters(runs))
        # The first one moves to the left with its letter.
        axes[0, column].set_title(title, fontsize=7, loc="left" if column else "center")
        generations_below(axes[-1, column])
    for row, (_, label) in enumerate(rows):
        formula(axes[row, 0].yaxis.set_label_text(label))
    if len(rows) > 1:
        letters(axes[:, 0])
    # A panel without data has no legend.
    every = [axis.get_legend_handles_labels() for axis in axes.flat]
    handles, labels = max(every, key=lambda entries: len(entries[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return figure


def _letters(runs: Sequence[str]) -> int:
    """Return how many letters of a run's name fit above its panel."""
    return min(30, 80 // len(runs))


def _unit(first: pd.DataFrame) -> float:
    """Return the variance before the first generation: V_W + V_B, or that of all images."""
    before = first.set_index("quantity")["before"]
    both = float(before["within"] + before["between"])
    return both if both > 0 else float(before["variance"]) or 1.0


def _bars(axis: Axes, rows: pd.DataFrame, unit: float) -> None:
    """Stack the parts of each generation from zero, positive ones upwards, others downwards."""
    x = rows["generation"].to_numpy(int)
    if rows["after"].isna().all():
        _say(axis, "unknown")
        return
    above, below = np.zeros(len(x)), np.zeros(len(x))
    for part, colour in _COLOURS.items():
        values = np.nan_to_num(rows[part].to_numpy(float)) / unit
        if part == "inflow" and not values.any():
            continue
        start = np.where(values > 0, above, below)
        axis.bar(x, values, 0.7, start, color=colour, label=_NAMES[part], linewidth=0)
        above, below = above + np.maximum(values, 0), below + np.minimum(values, 0)
    change = (rows["after"] - rows["before"]).to_numpy(float) / unit
    axis.plot(x, change, "o-", color="black", markersize=2.5, linewidth=0.9, label="change")
    axis.axhline(0, color="0.4", linewidth=0.6)


def _of_latents(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the latents, averaged over coordinates, or of the trait that comes first;
    no prompt means."""
    table = table[table["prompt"].isna()]
    known = [name for name in _LATENTS if (table["trait"] == name).any()]
    trait = known[0] if known else table["trait"].iloc[0]
    table = table[table["trait"] == trait]
    averaged = table["component"].isna()
    return table[averaged] if averaged.any() else table[table["component"] == 0]


def draw_traits(selection: pd.DataFrame) -> Figure:
    """Draw signed selection differentials of traits, and the transmission of prompt means."""
    runs = _drawn(selection)
    tables = [_differentials(selection[selection["run"] == run]) for run in runs]
    traits = list(dict.fromkeys(name for table in tables for name in table.index))
    # Of runs with one image a prompt and no replicate no standard deviation is known.
    most = max((table["estimate"].abs().max() for table in tables if len(table)), default=1.0)
    height = 1.9 + 0.17 * len(traits) + 1.5
    figure = Figure(figsize=(PAGE, height), layout="constrained")
    axes = figure.subplots(
        2, len(runs), squeeze=False, sharey="row", height_ratios=[0.17 * len(traits) + 0.4, 1.5]
    )
    shown = None
    for column, (run, table) in enumerate(zip(runs, tables, strict=True)):
        axis = axes[0, column]
        if len(table):
            shown = _map(axis, _pivot(table).reindex(traits), most)
        else:
            _say(axis, "unknown: one image a prompt")
        none = table[(table["low"] <= 0) & (table["high"] >= 0)]
        places = [traits.index(name) for name in none.index]
        axis.plot(none["generation"], places, "o", color="black", markersize=1.8)
        axis.set_title(shortened(run, _letters(runs)), fontsize=7)
        axis.invert_yaxis()
        numbers = selection[selection["run"] == run]["generation"].unique()
        axis.set_xticks([number for number in numbers if number])
        axis.set_xlim(0.5, numbers.max() + 0.5)
        _transmission(axes[1, column], selection[selection["run"] == run])
        generations_below(axes[1, column])
    axes[0, 0].set_yticks(range(len(traits)), [name.replace("_", " ") for name in traits])
    axes[1, 0].set_ylabel("transmission")
    if shown is not None:
        bar = figure.colorbar(shown, ax=list(axes[0]), pad=0.01)
        bar.set_label("selection differential (sd)")
    letters([axes[0, 0], axes[1, 0]])
    return figure


def _map(axis: Axes, values: pd.DataFrame, most: float) -> QuadMesh:
    """Colour differentials, a row for each trait and a column for each generation."""
    x = values.columns.to_numpy(float)
    return axis.pcolormesh(
        np.append(x, x[-1] + 1) - 0.5, np.arange(len(values) + 1) - 0.5,
        np.ma.masked_invalid(values.to_numpy(float)), cmap="RdBu_r", vmin=-most, vmax=most,
    )  # fmt: skip


def _say(axis: Axes, text: str) -> None:
    """Write a sentence into a panel without data."""
    middle = {"ha": "center", "va": "center", "transform": axis.transAxes}
    axis.text(0.5, 0.5, text, color="0.4", fontsize=7, **middle)


def _differentials(selection: pd.DataFrame) -> pd.DataFrame:
    """Return the standardised differentials of traits with one component."""
    chosen = _estimates(selection, "S_standardised")
    chosen = chosen[chosen["component"].notna()]
    axes = chosen["trait"] == "latent_pc"
    single = chosen.groupby("trait")["component"].transform("max") == 0
    chosen = chosen[single | (axes & (chosen["component"] == 0))]
    axes = chosen["trait"] == "latent_pc"
    chosen = chosen.assign(trait=chosen["trait"].where(~axes, "leading latent axis"))
    return chosen.set_index("trait")[["generation", "estimate", "low", "high"]]


def _estimates(selection: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """Return the estimates of a quantity, with intervals for these prompts where they have such."""
    chosen = selection[selection["quantity"] == quantity]
    order = (chosen["target"] != _THESE).to_numpy().argsort(kind="stable")
    return chosen.iloc[order].drop_duplicates(["trait", "component", "generation"]).sort_index()


def _pivot(table: pd.DataFrame) -> pd.DataFrame:
    return table.reset_index().pivot(index="trait", columns="generation", values="estimate")


def _transmission(axis: Axes, selection: pd.DataFrame) -> None:
    chosen = _estimates(selection, "transmission")
    known = [name for name in _LATENTS if (chosen["trait"] == name).any()]
    chosen = chosen[chosen["trait"] == known[0]] if known else chosen
    averaged = chosen["component"].isna()
    chosen = chosen[averaged] if averaged.any() else chosen[chosen["component"] == 0]
    y = chosen["estimate"].to_numpy(float)
    ends = np.abs(chosen[["low", "high"]].to_numpy(float).T - y)
    x = chosen["generation"].to_numpy(int)
    axis.errorbar(x, y, ends, fmt="o-", color=_COLOURS["transmission"], markersize=2.5, linewidth=1)
    axis.axhline(1, color="0.6", linewidth=0.8)
