"""Accuracy: the fraction of images that a classifier assigns to their own caption."""

import numpy as np

from empirical.measuring.metrics.measures._base import Sample

RANGE = (0.0, 1.0)


def alone(sample: Sample) -> float:
    """Return the fraction of images whose predicted caption is their own; nan without predictions.

    Unbiased for the classifier at hand, which errs on real images too: read it beside the
    accuracy of generation 0.
    """
    if sample.predicted is None or sample.captions is None or not len(sample):
        return float("nan")
    pairs = zip(sample.predicted, sample.captions, strict=True)
    return float(np.mean([guess == truth for guess, truth in pairs]))
