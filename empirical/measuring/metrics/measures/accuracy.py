"""Accuracy: the fraction of images whose category a classifier predicts."""

import numpy as np

from empirical.measuring.metrics.measures._base import Sample

RANGE = (0.0, 1.0)


def alone(sample: Sample) -> float:
    """Return the fraction of images with a right prediction; nan without predictions.

    A caption is predicted where its category is (`empirical.classifier`); for digits the two equal.
    Unbiased for the classifier at hand, which errs on real images too: read it beside the
    accuracy of generation 0.
    """
    if sample.predicted is None or sample.captions is None or not len(sample):
        return float("nan")
    pairs = zip(sample.predicted, sample.captions, strict=True)
    return float(np.mean([guess == truth for guess, truth in pairs]))
