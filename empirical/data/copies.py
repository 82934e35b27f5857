"""Images that a run would use twice: copies under another name, and folders named twice."""

from collections.abc import Sequence
from pathlib import Path

from empirical.data.data_set import DataSet
from empirical.images.notes import Notes


def note(sets: Sequence[DataSet]) -> None:
    """Warn of images with equal content, in one data set or in two.

    A copy is not another individual, and where one of two is held out, the chain may still have
    learnt from the other.
    """
    named: dict[str, dict[tuple[int, str], str]] = {}
    for number, each in enumerate(sets):
        for row in each.images:
            if row["sha256"]:
                shown = (Path(each.name) / row["file"]).as_posix()
                # An image that a table names twice is noted where the table is read.
                named.setdefault(row["sha256"], {})[number, row["file"]] = shown
    notes = Notes(", ".join(dict.fromkeys(each.name for each in sets)))
    notes.add(
        "copies of other images, counted as further individuals, and possibly held out where the "
        "other is learnt from",
        *(name for names in named.values() for name in list(names.values())[1:]),
    )
    notes.warn()
