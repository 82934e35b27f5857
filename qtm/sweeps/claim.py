"""One writer for a store: a lock beside it, which ends with the process that holds it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

# Another sweep that has only begun to open a finished store is soon done.
_PATIENCE = 2.0


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold `path` while a sweep writes it; ValueError if another process is at work on it.

    The operating system gives the lock back however its holder ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".{path.name}.lock")
    lock = FileLock(file)
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        raise ValueError(
            f"another sweep is writing {path}: wait until it has ended, or give another path."
        ) from None
    try:
        yield
    finally:
        # Removed while it is held: who has opened it meanwhile sees that it has no name and asks
        # again, as filelock does.
        with suppress(OSError):
            file.unlink()
        lock.release()
