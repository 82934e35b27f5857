"""The slope of the radial power spectrum: steep for blurred images, 0 for noise."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View, _spectrum


def measure(view: View) -> Float[np.ndarray, "n d"] | None:
    """Return the slope [n, 1] of log power over log frequency, about -2 for photographs.

    Least squares over the rings of the trait `power_spectrum`: for power proportional to f^-a it
    is -a, white noise has 0. A flat image has 0; images of fewer than four pixels a side, which
    have one ring, have none.
    Source: Field 1987, J. Opt. Soc. Am. A 4, 2379.
    """
    levels, frequencies = view.trait("power_spectrum"), _spectrum.radial(view.grey[:1])[1]
    if levels is None or len(frequencies) < 2:
        return None
    x = np.log10(frequencies) - np.log10(frequencies).mean()
    return (levels @ x / (x @ x))[:, None]
