"""Reports of progress."""

from collections.abc import Callable
from typing import TypeAlias

# Called with the number of steps that were done since the last call.
Progress: TypeAlias = Callable[[int], object]


def no_progress(count: int) -> None:
    """Report nothing."""
