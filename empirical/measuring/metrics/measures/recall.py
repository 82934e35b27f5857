"""Recall: the fraction of real images that the sample covers."""

import numpy as np

from empirical.measuring.metrics.measures._base import Pair

RANGE = (0.0, 1.0)
K = 3


def against(pair: Pair) -> float:
    """Return the fraction of the reference's images inside the sample's manifold.

    That is the union of the balls around the sample's images that reach to their third nearest
    other one: precision with the sets swapped. Biased upwards by outliers of the sample (see
    `coverage`); it depends on the sample's size: compare at equal sizes. Below 4 images: nan.
    Source: Kynkäänniemi et al. 2019 (arXiv 1904.06991), k = 3.
    """
    radii = pair.sample.neighbours[:, K - 1]
    if np.isnan(radii).any() or not len(pair.reference):
        return float("nan")
    return float((pair.distances <= radii[:, None]).any(axis=0).mean())
