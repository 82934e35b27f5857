"""Traits of the images that a generation learnt from, wherever they were measured."""

from pathlib import PurePosixPath

import numpy as np
from jaxtyping import Float

from empirical.errors import UserError
from empirical.runs.record import Run


def captions(run: Run, number: int) -> list[str]:
    """Return the prompts of a generation's training set."""
    return [row["text"] for row in run.generation(number).pedigree()]


def trait(run: Run, number: int, name: str) -> Float[np.ndarray, "m k"]:
    """Return a trait [m, k] of the training set of a generation, in the order of its pedigree.

    Raises `UserError` where freshly drawn real images were not measured.
    """
    stored: dict[str, Float[np.ndarray, "n k"]] = {}
    rows = []
    for row in run.generation(number).pedigree():
        path = PurePosixPath(row["file_name"])
        key = path.parent.as_posix()
        if key not in stored:
            stored[key] = _of_folder(run, number, path, name)
        rows.append(stored[key][int(path.stem)])
    return np.stack(rows)


def _of_folder(run: Run, number: int, path: PurePosixPath, name: str) -> Float[np.ndarray, "n k"]:
    if path.parent.name != "fresh":
        return run.generation(int(path.parts[0].removeprefix("gen_"))).trait(name)
    draw = run.generation(number).draw("fresh")
    if not draw.complete:
        raise UserError(
            f"the fresh real images that generation {number} of '{run.folder}' learnt from are "
            f"not measured: `qtm measure {run.folder} unguided` measures them"
        )
    return draw.trait(name)
