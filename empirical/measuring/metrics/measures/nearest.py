"""Distance to the nearest training image: memorisation."""

import numpy as np

from empirical.measuring.metrics.measures._base import Pair

RANGE = (0.0, np.inf)
# Measured against the training set, too.
TRAINING = True


def against(pair: Pair) -> float:
    """Return the mean over images of the distance to the nearest image of the reference.

    In feature units; with the features `pixels`, the root of summed squared differences. Exactly 0
    where every image is a copy. Read it beside `nearest_real`, the distance between the reference's
    images: far below it the images are copies, near it they are new. It
    falls as the reference grows, so compare at equal sizes.
    Source: Carlini et al. 2023 (arXiv 2301.13188) on copies by nearest neighbours.
    """
    if not min(pair.distances.shape):
        return float("nan")
    return float(pair.distances.min(axis=1).mean())
