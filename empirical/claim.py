"""One process at a time in a folder: the lock beside what it writes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from empirical.errors import UserError


@contextmanager
def claimed(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder, made where it is not there, while something is written into it.

    Raises `UserError` that names `what` lies there ("run", "sweep") where another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is at work on the {what} '{folder}'") from None
    try:
        yield
    finally:
        lock.release()
