"""Distance of the reference's images to each other, the yardstick of `nearest`."""

import numpy as np

from empirical.measuring.metrics.measures._base import Pair

RANGE = (0.0, np.inf)


def against(pair: Pair) -> float:
    """Return the mean over the reference's images of the distance to the nearest other of them.

    In feature units. It does not depend on the sample. Below 2 reference images: nan.
    """
    return float(np.mean(pair.reference.neighbours[:, 0]))
