"""Contact sheets: the same prompts and seeds down the generations."""

import numpy as np
from matplotlib.figure import Figure

from figures.evidence import Evidence, describe

ORDER = 10
CAPTION = (
    "Each column is one prompt and one seed, each row one generation; chains with the same recipe "
    "seed share the seeds of their images. "
    "The first row is real data (generation 0; other pictures of the same prompts), the second the "
    "base model before any finetuning. High guidance swells and repeats; low guidance blurs and "
    "mixes the prompts."
)
_COLUMNS = 20
_PIXELS = 96


def draw(evidence: Evidence) -> Figure:
    """Draw one sheet a run, side by side in pairs."""
    columns = min(2, len(evidence.runs))
    rows = -(-len(evidence.runs) // columns)
    sheets = [sheet(run) for run in evidence.runs]
    height = max(len(names) for _, names in sheets)
    figure = Figure(figsize=(6.4 * columns, rows * (0.35 + 0.32 * height)))
    axes = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, run, (pixels, names) in zip(axes, evidence.runs, sheets, strict=False):
        axis.set_axis_on()
        axis.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="equal")
        axis.set_title(f"{run.name}: {describe(run)}")
        side = pixels.shape[0] / len(names)
        axis.set_yticks((np.arange(len(names)) + 0.5) * side, names)
        axis.set_xticks([])
        axis.tick_params(length=0)
        axis.grid(False)
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure


def sheet(run) -> tuple[np.ndarray, list[str]]:
    """Return the pixels of a run's contact sheet, and the names of its rows."""
    generations = run.generations()
    probes = [generation.probes()[:_COLUMNS] for generation in generations]
    captions = generations[0].captions
    families = list(dict.fromkeys(captions))
    members = {family: [i for i, c in enumerate(captions) if c == family] for family in families}
    turns = [
        members[families[i % len(families)]][
            (i // len(families)) % len(members[families[i % len(families)]])
        ]
        for i in range(len(probes[0]))
    ]
    rows = [generations[0].images(turns), *probes]
    names = ["real", "base", *(str(generation.number) for generation in generations[1:])]
    return np.concatenate([_strip(row) for row in rows]), names


def _strip(images: np.ndarray) -> np.ndarray:
    """Put images in a row, made small where they are large, with a margin of one pixel or more."""
    step = max(1, images.shape[1] // _PIXELS)
    small = images[:, ::step, ::step]
    margin = max(1, small.shape[1] // 32)
    padded = np.pad(small, ((0, 0), (0, margin), (0, margin), (0, 0)), constant_values=255)
    strip = np.concatenate(list(padded), axis=1)
    return strip[..., 0] if strip.shape[-1] == 1 else strip
