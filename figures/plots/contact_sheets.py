"""Contact sheets: the same prompts and seeds down the generations."""

import numpy as np
from matplotlib.figure import Figure

from empirical.records import Run
from figures.evidence import Evidence, describe
from figures.pieces import show_mosaic, stored_images
from figures.style import PAGE

ORDER = 10
WIDE = True
CAPTION = (
    "Each column is one prompt and one seed, each row one generation; chains with the same recipe "
    "seed share the seeds of their images. The first row is real data (generation 0; other pictures "
    "of the same prompts), the second the base model before any finetuning. High guidance swells and "
    "repeats; low guidance blurs and mixes the prompts."
)
_COLUMNS = 20


def draw(evidence: Evidence) -> Figure:
    """Draw one sheet a run, below each other."""
    sheets = [sheet(run) for run in evidence.runs]
    side = (PAGE - 0.5) / max(len(rows[-1]) for rows, _ in sheets)
    heights = [side * len(rows) + 0.3 for rows, _ in sheets]
    figure = Figure(figsize=(PAGE, sum(heights)))
    axes = figure.subplots(len(sheets), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axis, run, (rows, names) in zip(axes, evidence.runs, sheets, strict=True):
        show_mosaic(axis, rows, names)
        axis.set_title(f"{run.name}: {describe(run)}", loc="left")
    return figure


def sheet(run: Run) -> tuple[list[np.ndarray], list[str]]:
    """Return the rows of a run's contact sheet, and their names; real images where these are
    stored."""
    generations = run.generations()
    rows = [generation.probes()[:_COLUMNS] for generation in generations]
    names = ["base", *(str(generation.number) for generation in generations[1:])]
    real = stored_images(generations[0], len(rows[0]))
    if real is not None and real.shape == rows[0].shape:
        return [real, *rows], ["real", *names]
    return rows, names
