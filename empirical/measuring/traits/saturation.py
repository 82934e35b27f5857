"""Saturation: how far an image's colours are from grey."""

import numpy as np
from jaxtyping import Float, UInt8

from empirical.measuring.traits import View


def measure(view: View) -> Float[np.ndarray, "n d"] | None:
    """Return the mean over pixels [n, 1] of the saturation of HSV, in [0, 1].

    S = (max - min) / max over red, green and blue, 0 for black. Grey images (one channel) have no
    saturation: None.
    Source: Smith 1978, "Color gamut transform pairs", SIGGRAPH.
    """
    if not view.coloured:
        return None
    # Image by image: a float64 copy of all of them may not fit into memory.
    return np.array([[_saturation(image)] for image in view.images])


def _saturation(image: UInt8[np.ndarray, "h w c"]) -> float:
    most, least = image.max(axis=-1).astype(float), image.min(axis=-1).astype(float)
    return float(np.mean((most - least) / np.where(most > 0, most, 1)))
