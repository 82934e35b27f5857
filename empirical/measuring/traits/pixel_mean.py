"""Brightness: the mean of an image's pixels."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return the mean luminance [n, 1], in [0, 1]."""
    return view.grey.mean(axis=(1, 2))[:, None]
