"""The embedded drawings: one sheet of images, and a table of their captions and parts."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import UInt8

from empirical import files
from empirical.embedded._captioned import Captioned

FOLDER = Path(__file__).parent / "files" / "emoji"
SHEET, TABLE = "images.png", "captions.csv"
SIDE = 32
COLUMNS = 32


@cache
def table() -> pd.DataFrame:
    """Return a row for each drawing: name, known, caption, family, part, family_part."""
    return pd.read_csv(FOLDER / TABLE, keep_default_na=False)


@cache
def _all() -> UInt8[np.ndarray, "n 32 32 3"]:
    sheet = files.read_image(FOLDER / SHEET)
    rows, columns, count = len(sheet) // SIDE, COLUMNS, len(table())
    tiles = sheet.reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2)
    return tiles.reshape(rows * columns, SIDE, SIDE, 3)[:count]


def chosen(column: str, part: str, caption: str) -> Captioned:
    """Return the drawings whose `column` is `part`, captioned by the column `caption`."""
    places = np.flatnonzero(table()[column] == part)
    rows = table().iloc[places]
    return Captioned(_all()[places], tuple(rows[caption]), tuple(rows["family"]))


def save(folder: Path, images: Captioned, rows: list[dict[str, str]]) -> None:
    """Write the sheet and the table of all drawings into a folder."""
    lines = -(-len(images) // COLUMNS)
    tiles = np.full((lines * COLUMNS, SIDE, SIDE, 3), 255, np.uint8)
    tiles[: len(images)] = images.images
    sheet = tiles.reshape(lines, COLUMNS, SIDE, SIDE, 3).swapaxes(1, 2)
    files.write_image(folder / SHEET, sheet.reshape(lines * SIDE, COLUMNS * SIDE, 3))
    files.write_text(folder / TABLE, pd.DataFrame(rows).to_csv(index=False, lineterminator="\n"))
