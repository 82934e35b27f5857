"""The embedded drawings, from which several data sets choose."""

from pathlib import Path

import numpy as np

from empirical import sheet
from empirical.embedded._captioned import Captioned

FOLDER = Path(__file__).parent / "files" / "emoji"


def chosen(column: str, part: str, caption: str) -> Captioned:
    """Return the drawings whose `column` is `part`, captioned by the column `caption`."""
    images, table = sheet.read(FOLDER)
    places = np.flatnonzero(table[column] == part)
    rows = table.iloc[places]
    return Captioned(images[places], tuple(rows[caption]), tuple(rows["category"]))
