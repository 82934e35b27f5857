"""Diversity: how far apart two images of one prompt are."""

import numpy as np

from empirical.measuring.metrics.measures._base import Sample

RANGE = (0.0, np.inf)


def alone(sample: Sample) -> float:
    """Return the mean Euclidean distance of two different images of one prompt, in feature units.

    Averaged over all pairs of a prompt, then over prompts with two images or more; nan where no
    prompt has two, or without captions. Zero where each prompt yields one image. Unbiased.
    """
    if sample.membership is None:
        return float("nan")
    sizes = sample.membership.sum(axis=0)
    total = (sample.membership * (sample.distances @ sample.membership)).sum(axis=0)
    large = sizes >= 2
    if not large.any():
        return float("nan")
    return float(np.mean(total[large] / (sizes[large] * (sizes[large] - 1))))
