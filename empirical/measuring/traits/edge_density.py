"""Edge density: the fraction of pixels on an edge."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View

THRESHOLD = 0.1


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return the fraction [n, 1] of pixels, inside the border, where luminance rises by more than
    0.1 a pixel.

    The gradient is Sobel's, divided by 8 so that a ramp of g a pixel has length g; a clean step
    from black to white has 0.5 on both sides. The threshold is fixed rather than fitted to each
    image, so that generations can be compared: an image whose edges blur has fewer of them.
    Source: the operator of Sobel and Feldman 1968, in Duda and Hart 1973.
    """
    z = view.grey
    across = z[:, :, 2:] - z[:, :, :-2]
    down = z[:, 2:] - z[:, :-2]
    gx = (across[:, :-2] + 2 * across[:, 1:-1] + across[:, 2:]) / 8
    gy = (down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]) / 8
    return (np.hypot(gx, gy) > THRESHOLD).mean(axis=(1, 2))[:, None]
