"""Reports of progress: a callback that receives the amount of work just done."""

from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int], object]


def no_progress(count: int) -> None:
    """Report nothing."""
