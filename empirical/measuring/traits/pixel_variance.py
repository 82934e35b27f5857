"""Contrast: the variance of an image's pixels."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return the variance of luminance over pixels [n, 1] (all pixels, ddof = 0), in [0, 1/4]."""
    return view.grey.var(axis=(1, 2))[:, None]
