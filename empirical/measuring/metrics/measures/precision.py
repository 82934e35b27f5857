"""Precision: the fraction of images that look real."""

import numpy as np

from empirical.measuring.metrics.measures._base import Pair

RANGE = (0.0, 1.0)
K = 3


def against(pair: Pair) -> float:
    """Return the fraction of images inside the reference's manifold.

    That is the union of the balls around the reference's images that reach to their third nearest
    other one. Biased upwards by outliers of the reference, whose balls are large (see `density`);
    it depends on the reference's size: compare at equal sizes. Below 4 reference images: nan.
    Source: Kynkäänniemi et al. 2019 (arXiv 1904.06991), k = 3.
    """
    radii = pair.reference.neighbours[:, K - 1]
    if np.isnan(radii).any() or not len(pair.sample):
        return float("nan")
    return float((pair.distances <= radii).any(axis=1).mean())
