"""Blocks of samples of one family, so that a family's axes multiply all its samples at once."""

import numpy as np

_LARGEST = 64
_WASTE = 1.25
_BYTES = 2**28


def blocks(families: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the family of each block [B], and the indices of its samples [B, b].

    A block that is not full repeats its first sample. b is the largest size up to 64 that wastes no
    more than a quarter, so that families of a single sample cost less than large ones.
    """
    counts = np.bincount(families)
    counts = counts[counts > 0]
    even = -(-counts.max() // -(-counts.max() // _LARGEST))  # the largest family in equal parts
    sizes = [b for b in sorted({int(even), 32, 16, 8, 4, 2, 1}, reverse=True) if b <= even]
    b = next(b for b in sizes if np.sum(-(-counts // b)) * b <= _WASTE * len(families))
    owner, members = [], []
    for c in np.unique(families):
        rows = np.flatnonzero(families == c)
        for start in range(0, len(rows), b):
            part = rows[start : start + b]
            owner.append(c)
            members.append(np.append(part, np.full(b - len(part), part[0])))
    return np.array(owner), np.array(members)


def chunks(blocks: int, size: int, C: int, d: int, r: int) -> list[np.ndarray]:
    """Return the blocks to process together; parts are equally long, the last may repeat blocks."""
    each = 8 * (size * (3 * C * r + 8 * d) + d * r)
    count = -(-blocks // max(1, _BYTES // each))
    length = -(-blocks // count)
    return [np.arange(i * length, (i + 1) * length) % blocks for i in range(count)]
