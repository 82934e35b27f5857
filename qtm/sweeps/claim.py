"""One writer for a store: a lock beside it, released when its process ends."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

# Another sweep that merely opens a finished store is soon done.
_PATIENCE = 2.0


@contextmanager
def claim(path: Path) -> Iterator[None]:
    """Hold `path` while a sweep writes it; raise ValueError if another process holds it.

    The operating system releases the lock however its holder ends.
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
        # Removed while it is held: filelock notices in another process that the file it opened is
        # gone, and tries again.
        with suppress(OSError):
            file.unlink()
        lock.release()
