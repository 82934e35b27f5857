"""Many small images in one file: a sheet of tiles, and a table with a row for each."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from empirical import files

IMAGES, TABLE = "images.png", "captions.csv"
_COLUMNS = 32


def write(
    folder: Path, images: UInt8[np.ndarray, "n side side c"], rows: list[dict[str, str]]
) -> None:
    """Write square images as tiles of one PNG, 32 in a row, and their rows as a table."""
    count, side, _, channels = images.shape
    lines = -(-count // _COLUMNS)
    tiles = np.full((lines * _COLUMNS, side, side, channels), 255, np.uint8)
    tiles[:count] = images
    pixels = tiles.reshape(lines, _COLUMNS, side, side, channels).swapaxes(1, 2)
    files.write_image(folder / IMAGES, pixels.reshape(lines * side, _COLUMNS * side, channels))
    files.write_text(folder / TABLE, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))


@cache
def read(folder: Path) -> tuple[UInt8[np.ndarray, "n side side c"], pd.DataFrame]:
    """Return the images [n, side, side, channels] and the table of a folder, values as text."""
    table = pd.read_csv(folder / TABLE, keep_default_na=False, dtype=str)
    pixels = files.read_image(folder / IMAGES)
    side = pixels.shape[1] // _COLUMNS
    lines, channels = len(pixels) // side, pixels.shape[2]
    tiles = pixels.reshape(lines, side, _COLUMNS, side, channels).swapaxes(1, 2)
    return tiles.reshape(-1, side, side, channels)[: len(table)], table
