"""Fréchet distance of the Gaussians fitted to two sets."""

import numpy as np

from empirical.measuring.metrics.measures._base import Pair

RANGE = (0.0, np.inf)


def against(pair: Pair) -> float:
    """Return |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2), in feature units squared.

    Covariances have ddof = 1. Biased upwards by roughly a constant over n, whatever the true
    distance: compare only at equal sizes, and see `kid` for an unbiased one. Below 2 images: nan.
    Source: Dowson and Landau 1982; Heusel et al. 2017 (arXiv 1706.08500); the bias is Chong and
    Forsyth 2020 (arXiv 1911.07023).
    """
    a, b = pair.sample.features, pair.reference.features
    if min(len(a), len(b)) < 2:
        return float("nan")
    shift = a.mean(axis=0) - b.mean(axis=0)
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    a, b = a / np.sqrt(len(a) - 1), b / np.sqrt(len(b) - 1)
    # The trace is the nuclear norm of C_a^1/2 C_b^1/2, thus of a b' as well.
    if min(len(a), len(b)) <= a.shape[1]:
        cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    else:
        values, axes = np.linalg.eigh(a.T @ a)
        root = (axes * np.sqrt(values.clip(0))) @ axes.T
        cross = np.sqrt(np.linalg.eigvalsh(root @ (b.T @ b) @ root).clip(0)).sum()
    traces = np.square(a).sum() + np.square(b).sum()
    # Rounding must not turn the distance of a set to itself negative.
    return float(max(shift @ shift + traces - 2 * cross, 0))


def caution(pair: Pair) -> str | None:
    """Return a warning where a covariance is singular: no more images than dimensions."""
    dimension = pair.sample.features.shape[1]
    if min(len(pair.sample), len(pair.reference)) > dimension:
        return None
    return (
        f"a Fréchet distance of {len(pair.sample)} and {len(pair.reference)} images in {dimension} "
        f"dimensions has singular covariances; use more images than dimensions"
    )
