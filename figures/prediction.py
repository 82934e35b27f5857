"""Images that the theory of prompts expects, beside measured ones: the figure of `qtm predict`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from empirical.runs.record import Run
from figures.pieces import show_mosaic
from figures.style import PAGE
from figures.write import write_drawn

CAPTION = (
    "Images of prompts (columns) in every generation (rows), of a chain that the theory of "
    "prompts was not fitted to. Predicted: latents about the mean that the theory expects of a "
    "prompt, decoded; an image has the same deviation in all generations, that of an image of the "
    "base model, narrowed as V_W is. Runs without latents of single images have Gaussian "
    "deviations, whose images are blurred."
)
MEASURED = " Measured: images of such a chain, others of the same prompts."
_MOST = 24
# Room for the names of rows and for a title, in inches.
_NAMES, _TITLE = 0.3, 0.26


def write(
    images: UInt8[np.ndarray, "G N h w c"],
    captions: Sequence[str],
    chain: str,
    measured: Sequence[Run],
    out: Path,
) -> list[Path]:
    """Write ``sheet.pdf``, ``.png`` and ``.txt``: the predicted images of generations 1 to G with
    their captions, and those of the first measured run, if it stores images."""
    caption = CAPTION + MEASURED * bool(measured)
    return write_drawn(
        lambda: draw(images, captions, chain, measured), out / "sheet", f"{caption}\n"
    )


def draw(
    images: UInt8[np.ndarray, "G N h w c"],
    captions: Sequence[str],
    chain: str,
    measured: Sequence[Run],
) -> Figure:
    """Draw one sheet above the other: predicted, measured."""
    chosen = np.unique(np.linspace(0, len(captions) - 1, min(_MOST, len(captions))).astype(int))
    sheets = [(f"predicted, {chain}", list(images[:, chosen]))]
    texts = [captions[i] for i in chosen]
    for run in measured:
        rows = stored(run, texts, len(images))
        if rows:
            sheets.append((f"measured, {run.name}", rows))
    side = (PAGE - _NAMES - 0.05) / len(chosen)
    heights = [side * len(rows) + _TITLE for _, rows in sheets]
    # Manual layout: an automatic one leaves no room for names beside images of fixed shape.
    figure = Figure(figsize=(PAGE, sum(heights)))
    figure.set_layout_engine("none")
    top = sum(heights)
    for (title, rows), height in zip(sheets, heights, strict=True):
        place = (_NAMES, top - height, side * len(chosen), height - _TITLE)
        extents = (PAGE, sum(heights)) * 2
        axis = figure.add_axes(tuple(x / extent for x, extent in zip(place, extents, strict=True)))
        show_mosaic(axis, rows, [str(t) for t in range(1, len(rows) + 1)])
        axis.set_title(title, loc="left", pad=3)
        top -= height
    return figure


def stored(
    run: Run, captions: Sequence[str], generations: int
) -> list[UInt8[np.ndarray, "N h w c"]]:
    """Return images of a run with these captions in generations 1 to G, as far as they are
    stored."""
    rows = []
    for generation in run.generations()[1 : generations + 1]:
        folder = generation.folder / "images"
        names = [row["file_name"] for row in generation.metadata()]
        known: dict[str, list[int]] = {}
        for i, (name, text) in enumerate(zip(names, generation.captions, strict=True)):
            if (folder / name).is_file():
                known.setdefault(text, []).append(i)
        # The first image of a prompt, then its second, as often as the prompt is asked for.
        order = [captions[:i].count(text) for i, text in enumerate(captions)]
        if any(len(known.get(text, ())) <= k for text, k in zip(captions, order, strict=True)):
            return rows
        rows.append(generation.images([known[t][k] for t, k in zip(captions, order, strict=True)]))
    return rows
