"""Contact sheets: the same prompts and seeds in every generation."""

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from empirical.runs.record import Run
from figures.evidence import Evidence, describe
from figures.pieces import probes, show_mosaic, stored_images
from figures.style import PAGE
from figures.text import shortened

ORDER = 10
CAPTION = (
    "Each column is one prompt and one seed, each row one generation; chains with the same "
    "recipe seed share the seeds of their images. Row 'real', where its images are stored: "
    "generation 0, other pictures of the same prompts. Row 'base': the base model before any "
    "finetuning. Strong guidance exaggerates images, and may make them alike; weak guidance blurs "
    "them and mixes prompts."
)
_COLUMNS = 20
# Room for the names of rows and for a title, in inches.
_NAMES, _TITLE = 0.4, 0.26


def draw(evidence: Evidence) -> Figure | None:
    """Draw one sheet per run that stores probes, one below the other; None where no run does."""
    by_run = {run.name: sheet(run) for run in evidence.runs}
    runs = [run for run in evidence.runs if by_run[run.name][0]]
    if not runs:
        return None
    sheets = [by_run[run.name] for run in runs]
    columns = max(len(rows[-1]) for rows, _ in sheets)
    side = (PAGE - _NAMES - 0.05) / columns
    heights = [side * len(rows) + _TITLE for rows, _ in sheets]
    # Manual layout: an automatic one leaves no room for names beside images of fixed shape.
    figure = Figure(figsize=(PAGE, sum(heights)), layout="none")
    top = sum(heights)
    for run, (rows, names), height in zip(runs, sheets, heights, strict=True):
        width, pictures = side * len(rows[-1]), height - _TITLE
        place = (_NAMES, top - height, width, pictures)
        axis = figure.add_axes(
            tuple(x / extent for x, extent in zip(place, (PAGE, sum(heights)) * 2, strict=True))
        )
        show_mosaic(axis, rows, names)
        axis.set_title(f"{shortened(run.name, 40)}: {describe(run)}", loc="left", pad=3)
        top -= height
    return figure


def sheet(run: Run) -> tuple[list[UInt8[np.ndarray, "_ _ _ c"]], list[str]]:
    """Return the rows of a run's contact sheet and their names: generations with stored probes,
    and real images if they are stored."""
    stored = {g.number: images for g in run.generations() if (images := probes(g)) is not None}
    rows = [images[:_COLUMNS] for images in stored.values()]
    names = ["base" if number == 0 else str(number) for number in stored]
    if not rows:
        return rows, names
    real = stored_images(run.generation(0), len(rows[0]))
    if real is not None and real.shape == rows[0].shape:
        return [real, *rows], ["real", *names]
    return rows, names
