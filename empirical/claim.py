"""The lock of a folder: one process at a time writes into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from empirical.errors import UserError


@contextmanager
def claimed(folder: Path, what: str) -> Iterator[None]:
    """Lock a folder, made if missing, while something is written into it.

    `what` ("run", "sweep") names its content in the `UserError` raised where another process holds
    the lock.
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
