"""Vendi score: the effective number of different images."""

import numpy as np

from empirical.measuring.metrics.measures._base import Sample

RANGE = (1.0, np.inf)


def alone(sample: Sample) -> float:
    """Return exp(-sum l log l), l the eigenvalues of K/n, K the cosine similarities of features.

    The effective number of different images, between 1 (copies) and n (orthogonal features), at
    most d. It grows with the number of images, so compare at equal sizes. Features that share a
    large mean lower it. Features of zero length count as one more, different image.
    Source: Friedman and Dieng 2023, TMLR (arXiv 2210.02410), order 1, cosine kernel.
    """
    n = len(sample)
    if n == 0:
        return float("nan")
    lengths = np.linalg.norm(sample.features, axis=1, keepdims=True)
    unit = sample.features / np.where(lengths > 0, lengths, 1)
    if not lengths.all():
        unit = np.column_stack([unit, lengths == 0])
    # K = U U' and U' U have the same eigenvalues but zeros: take the smaller.
    gram = unit @ unit.T if n < unit.shape[1] else unit.T @ unit
    values = np.linalg.eigvalsh(gram / n).clip(0)
    values = values[values > 0]
    return float(np.exp(-(values * np.log(values)).sum()))
