"""Progress of long work: a callback that receives the amount of work just done."""

from collections.abc import Callable

Progress = Callable[[int], None]


def silent(count: int) -> None:
    """Ignore the progress."""
