"""How a caller follows long work: it is called with the amount of work that has just been done."""

from collections.abc import Callable

Progress = Callable[[int], None]


def silent(count: int) -> None:
    """Follow nothing."""
