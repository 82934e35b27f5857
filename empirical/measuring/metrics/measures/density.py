"""Density: how many of the reference's neighbourhoods an image lies in."""

import numpy as np

from empirical.measuring.metrics.measures._base import Pair

RANGE = (0.0, np.inf)
K = 5


def against(pair: Pair) -> float:
    """Return the mean number of the reference's balls that an image lies in, over k = 5.

    A ball reaches to a reference image's fifth nearest other one. Near 1 for sets of one
    distribution, for any size, 0 for disjoint sets, above 1 where the sample is concentrated where
    the reference is dense: typical images, too similar. Below 6 reference images: nan.
    Source: Naeem et al. 2020 (arXiv 2002.09797), k = 5.
    """
    radii = pair.reference.neighbours[:, K - 1]
    if np.isnan(radii).any() or not len(pair.sample):
        return float("nan")
    return float((pair.distances <= radii).sum(axis=1).mean() / K)
