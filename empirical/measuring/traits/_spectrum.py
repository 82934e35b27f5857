"""Power spectra of images, for traits of spatial frequency."""

import numpy as np
from jaxtyping import Float

BATCH = 64
BINS = 12


def power(grey: Float[np.ndarray, "n h w"]) -> Float[np.ndarray, "n h f"]:
    """Return the power [n, height, width // 2 + 1] at each frequency of images [n, height, width].

    |F|^2 over the number of pixels, so that white noise of variance v has power v at every
    frequency. The mean of an image is subtracted first: the power at zero is 0.
    """
    pixels = grey.shape[1] * grey.shape[2]
    return np.abs(np.fft.rfft2(grey - grey.mean(axis=(1, 2), keepdims=True))) ** 2 / pixels


def radius(rows: int, columns: int) -> Float[np.ndarray, "h f"]:
    """Return the radial frequency of each entry of `power`, in cycles a pixel."""
    return np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None])


def weight(rows: int, columns: int) -> Float[np.ndarray, "h f"]:
    """Return the number of frequencies of the full plane that each entry of `power` represents.

    The transform of a real image keeps half of the plane: all its columns but the first, and the
    Nyquist one where there is one, represent two.
    """
    twice = np.full(columns // 2 + 1, 2.0)
    twice[0] = 1
    if columns % 2 == 0:
        twice[-1] = 1
    return np.broadcast_to(twice, (rows, len(twice)))


def edges(rows: int, columns: int) -> Float[np.ndarray, " edges"]:
    """Return the edges of the radial bins, in cycles per shorter side, at most 13 integers.

    They grow geometrically from one cycle an image to just above the Nyquist frequency, so that
    every octave weighs alike; integers, so that no bin is empty.
    """
    nyquist = min(rows, columns) // 2
    return np.unique(np.round(np.geomspace(1, nyquist + 1, BINS + 1)))


def radial(
    grey: Float[np.ndarray, "n h w"],
) -> tuple[Float[np.ndarray, "n bins"], Float[np.ndarray, " bins"]]:
    """Return the mean power [n, bins] in each radial bin, and the bins' frequencies [bins].

    A bin's frequency, in cycles a pixel, is the geometric mean of those in it. The corners of the
    plane, beyond the Nyquist frequency of the shorter side, are left out.
    """
    rows, columns = grey.shape[1:]
    # Rounded, because 3 / 32 * 32 may come out just below 3.
    cycles = np.round(radius(rows, columns) * min(rows, columns), 9)
    bounds = edges(rows, columns)
    bins = len(bounds) - 1
    place = (np.digitize(cycles, bounds) - 1).ravel()
    inside = (place >= 0) & (place < bins)
    fraction = np.zeros((place.size, bins))
    fraction[inside, place[inside]] = weight(rows, columns).ravel()[inside]
    fraction /= fraction.sum(axis=0)
    logs = np.log(np.where(cycles > 0, cycles, 1)).ravel() - np.log(min(rows, columns))
    # In batches: the transforms of many large images may not fit into memory.
    parts = [
        power(grey[start : start + BATCH]).reshape(-1, place.size) @ fraction
        for start in range(0, len(grey), BATCH)
    ]
    return np.concatenate(parts), np.exp(logs @ fraction)
