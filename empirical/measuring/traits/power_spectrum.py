"""The radial power spectrum: how much contrast an image has at each scale."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View, _spectrum

# A thousandth of the power of rounding to 256 levels, (1/255)^2 / 12: keeps flat images finite.
FLOOR = 1e-9


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return log10 of the mean power [n, bins] in rings of the frequency plane, low to high.

    Power is |F|^2 over the number of pixels (white noise of variance v: v everywhere), luminance in
    [0, 1], the mean taken out. At most twelve rings, geometric between one cycle per shorter side
    and the Nyquist frequency; nine for 32 pixels. Powers below 1e-9 count as 1e-9. Rings depend on
    the size of the images: compare equal sizes only.
    Source: Field 1987, J. Opt. Soc. Am. A 4, 2379 (radial average of the spectrum).
    """
    return np.log10(_spectrum.radial(view.grey)[0].clip(FLOOR))
