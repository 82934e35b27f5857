"""Evenly spaced places in a sequence, which may lie in order of its subjects."""


def spaced(length: int, count: int) -> list[int]:
    """Return `count` places, evenly spaced over a sequence from its first element on; where it is
    no longer than that, 0 to `count` - 1."""
    return [int(i * max(length / count, 1.0)) for i in range(count)]
