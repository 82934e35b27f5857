"""CLIP score: how well images fit their captions."""

import numpy as np

from empirical.measuring.metrics.measures._base import Sample

RANGE = (0.0, 100.0)
FEATURES = "clip"


def alone(sample: Sample) -> float:
    """Return the mean of 100 max(cos(image, caption), 0) in CLIP's space; nan without captions.

    Unbiased for the CLIP at hand, whose scores of real images are only 20 to 35: read it
    beside generation 0's, and name the weights.
    Source: Hessel et al. 2021 (arXiv 2104.08718), scaled by 100 instead of their 2.5.
    """
    if sample.texts is None or not len(sample):
        return float("nan")
    texts = np.asarray(sample.texts, np.float64)
    lengths = np.linalg.norm(sample.features, axis=1) * np.linalg.norm(texts, axis=1)
    cosine = (sample.features * texts).sum(axis=1) / lengths
    return float(np.mean(100 * cosine.clip(0)))
