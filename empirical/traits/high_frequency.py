"""High frequencies: their share of the radial power spectrum."""

import numpy as np

from empirical.traits import View

CUT = 0.25


def measure(view: View) -> np.ndarray:
    """Return the share [n, 1] of spectral power at radial frequencies of 1/4 cycle a pixel and
    more, half of what the pixels can carry, in all power but the mean's; 0 for a flat image."""
    power = np.abs(np.fft.rfft2(view.grey)) ** 2
    rows, columns = view.grey.shape[1:]
    # rfft2 keeps half of the plane: all columns but the first and the Nyquist one stand for two.
    weight = np.full(power.shape[2], 2.0)
    weight[0] = 1
    if columns % 2 == 0:
        weight[-1] = 1
    power = power * weight
    radius = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])
    power[:, 0, 0] = 0
    total = power.sum(axis=(1, 2))
    high = power[:, radius >= CUT].sum(axis=1)
    # What rounding leaves of a flat image is no spectrum.
    flat = total <= 1e-12 * power.shape[1] * columns
    return np.where(flat, 0, high / np.where(flat, 1, total))[:, None]
