"""Sharpness: the variance of the Laplacian, the common focus measure."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return the variance [n, 1] of the five-point Laplacian of luminance, inside the border."""
    z = view.grey
    around = z[:, :-2, 1:-1] + z[:, 2:, 1:-1] + z[:, 1:-1, :-2] + z[:, 1:-1, 2:]
    return (around - 4 * z[:, 1:-1, 1:-1]).var(axis=(1, 2))[:, None]
