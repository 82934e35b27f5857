"""High frequencies: their share of the radial power spectrum."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View, _spectrum

CUT = 0.25


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return the share [n, 1] of spectral power at radial frequencies of 1/4 cycle a pixel and
    more, half of what the pixels can carry, in all power but the mean's; 0 for a flat image."""
    shares = [
        _share(view.grey[start : start + _spectrum.BATCH])
        for start in range(0, len(view.grey), _spectrum.BATCH)
    ]
    return np.concatenate(shares)[:, None]


def _share(grey: np.ndarray) -> np.ndarray:
    rows, columns = grey.shape[1:]
    power = _spectrum.power(grey) * _spectrum.weight(rows, columns)
    total = power.sum(axis=(1, 2))
    high = power[:, _spectrum.radius(rows, columns) >= CUT].sum(axis=1)
    # What rounding leaves of a flat image is no spectrum.
    flat = total <= 1e-12
    return np.where(flat, 0, high / np.where(flat, 1, total))
