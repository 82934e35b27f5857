"""Progress of the chains of a sweep, read from their folders alone, without torch."""

import fcntl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from empirical import files
from empirical.errors import UserError
from empirical.recipe import Recipe
from empirical.runs.record import Run
from empirical.sweeps.run import GRID, error_file, is_finished, open_grid

State = Literal["done", "running", "interrupted", "failed", "waiting"]


@dataclass(frozen=True)
class Status:
    """The progress of a chain: generations `done` and their `total`, and the error if it failed."""

    name: str
    done: int
    total: int
    state: State
    updated: datetime | None
    error: str = ""


def status(folder: Path) -> list[Status]:
    """Return the status of every chain of a sweep, of every run in a folder, or of one run.

    Raises `UserError` where there is none.
    """
    if (folder / GRID).is_file():
        chains = {folder / name: recipe for name, recipe in open_grid(folder).chains.items()}
    else:
        below = [path.parent for path in files.visible(folder, "*/recipe.toml")]
        runs = [folder] if (folder / "recipe.toml").is_file() else below
        chains = dict.fromkeys(runs)
    if not chains:
        raise UserError(f"'{folder}' is neither the folder of a sweep or run, nor holds runs")
    return [_of_chain(path, recipe) for path, recipe in chains.items()]


def _of_chain(folder: Path, recipe: Recipe | None) -> Status:
    """Return the status of a chain; the recipe is its folder's where no grid gives one."""
    run, error = Run(folder), error_file(folder)
    try:
        recipe = recipe or run.recipe
    except UserError as damage:
        return Status(folder.name, 0, 0, "failed", _updated(folder), str(damage))
    done = sum(run.generation(number).done for number in range(1, recipe.generations + 1))
    message = _first_line(error) if error.is_file() else ""
    state: State
    if _held(folder / ".lock"):
        state, message = "running", ""
    elif is_finished(folder, recipe):
        state, message = "done", ""
    elif error.is_file():
        state = "failed"
    else:
        state = "interrupted" if (folder / "recipe.toml").is_file() else "waiting"
    return Status(folder.name, done, recipe.generations, state, _updated(folder), message)


def _first_line(error: Path) -> str:
    """Return the reason of a failure, whatever the state of its file."""
    try:
        return error.read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except OSError as unreadable:
        return f"'{error}' cannot be read: {unreadable.strerror}"


def _held(lock: Path) -> bool:
    """Return whether a process holds a lock."""
    try:
        with lock.open("rb") as stream:
            # Shared, so that concurrent checks do not see each other.
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _updated(folder: Path) -> datetime | None:
    """Return the time of the last write: a folder's time is that of its newest entry."""
    below = (files.visible(folder, pattern) for pattern in ("gen_*", "gen_*/*/"))
    folders = [folder, *(path for paths in below for path in paths)]
    times = [path.stat().st_mtime for path in folders if path.is_dir()]
    return datetime.fromtimestamp(max(times), UTC) if times else None
