"""High frequencies: their fraction of the radial power spectrum."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View, _spectrum

CUT = 0.25


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return the fraction [n, 1] of spectral power, the mean's left out, at radial frequencies of
    1/4 cycle a pixel and more, half of the Nyquist frequency; 0 for a flat image."""
    fractions = [
        _fraction(view.grey[start : start + _spectrum.BATCH])
        for start in range(0, len(view.grey), _spectrum.BATCH)
    ]
    return np.concatenate(fractions)[:, None]


def _fraction(grey: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, " n"]:
    rows, columns = grey.shape[1:]
    power = _spectrum.power(grey) * _spectrum.weight(rows, columns)
    total = power.sum(axis=(1, 2))
    high = power[:, _spectrum.radius(rows, columns) >= CUT].sum(axis=1)
    # The power of a flat image is rounding error.
    flat = total <= 1e-12
    return np.where(flat, 0, high / np.where(flat, 1, total))
