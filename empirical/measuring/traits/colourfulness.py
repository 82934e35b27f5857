"""Perceived colourfulness."""

import numpy as np
from jaxtyping import Float, UInt8

from empirical.measuring.traits import View


def measure(view: View) -> Float[np.ndarray, "n d"] | None:
    """Return the colourfulness [n, 1] of each image, 0 (none) to about 110 (extremely).

    With rg = R - G and yb = (R + G)/2 - B on the scale 0..255:
    M = sqrt(var rg + var yb) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2), variances over pixels (ddof = 0).
    Grey images (one channel) have none: None.
    Source: Hasler and Süsstrunk 2003, "Measuring colourfulness in natural images", Proc. SPIE 5007,
    their third metric, in RGB.
    """
    if not view.coloured:
        return None
    # Image by image: a float64 copy of all of them may not fit into memory.
    return np.array([[_colourfulness(image)] for image in view.images])


def _colourfulness(image: UInt8[np.ndarray, "h w c"]) -> float:
    red, green, blue = np.moveaxis(image.astype(float), -1, 0)
    rg, yb = red - green, (red + green) / 2 - blue
    return float(np.sqrt(rg.var() + yb.var()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
