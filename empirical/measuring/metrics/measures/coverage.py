"""Coverage: the fraction of the reference's neighbourhoods that hold an image."""

import numpy as np

from empirical.measuring.metrics.measures._base import Pair

RANGE = (0.0, 1.0)
K = 5


def against(pair: Pair) -> float:
    """Return the fraction of the reference's balls in which at least one image lies.

    A ball reaches to a reference image's fifth nearest other one. For two sets of n images of one
    distribution 1 - (n-1)...(n-k)/((2n-1)...(2n-k)) is expected, about 1 - 2^-k = 0.97; it grows
    with the number of images: compare at equal sizes. Below 6 reference images: nan.
    Source: Naeem et al. 2020 (arXiv 2002.09797), k = 5.
    """
    radii = pair.reference.neighbours[:, K - 1]
    if np.isnan(radii).any() or not len(pair.sample):
        return float("nan")
    return float((pair.distances <= radii).any(axis=0).mean())
