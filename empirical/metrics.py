"""What is said of a generation as a whole: accuracy, Fréchet distance, diversity."""

import warnings
from collections.abc import Sequence

import numpy as np


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Return the squared Fréchet distance of the Gaussians fitted to features [n, d] and [m, d].

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2), covariances with ddof = 1, by
    eigenvalues of symmetric matrices in float64. Units are those of the features, squared. The
    estimate is biased upwards for small samples: compare only at equal sizes. Warns unless both
    samples exceed the dimension.
    Source: Dowson and Landau 1982; Heusel et al. 2017 (arXiv 1706.08500).
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    dimension = a.shape[1]
    if min(len(a), len(b)) <= dimension:
        warnings.warn(
            f"a Fréchet distance of {len(a)} and {len(b)} images in {dimension} dimensions has "
            f"singular covariances; use more images than dimensions",
            stacklevel=2,
        )
    shift = a.mean(axis=0) - b.mean(axis=0)
    cov_a, cov_b = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    values, axes = np.linalg.eigh(cov_a)
    root = (axes * np.sqrt(values.clip(0))) @ axes.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    return float(shift @ shift + np.trace(cov_a) + np.trace(cov_b) - 2 * cross)


def diversity(features: np.ndarray, families: Sequence[str]) -> float:
    """Return the mean Euclidean distance of two different images of one prompt, in features [n, d].

    Averaged over all pairs of a prompt, then over prompts with two images or more; nan where no
    prompt has two. Zero when each prompt yields one picture.
    """
    means = []
    labels = np.asarray(families)
    for family in dict.fromkeys(families):
        z = np.asarray(features[labels == family], np.float64)
        if len(z) < 2:
            continue
        squares = np.square(z).sum(axis=1)
        gaps = np.sqrt((squares[:, None] + squares[None] - 2 * z @ z.T).clip(0))
        means.append(gaps[np.triu_indices(len(z), k=1)].mean())
    return float(np.mean(means)) if means else float("nan")


def accuracy(predicted: Sequence[str], captions: Sequence[str]) -> float:
    """Return the share of images whose predicted caption is the one they were made from."""
    return float(
        np.mean([guess == truth for guess, truth in zip(predicted, captions, strict=True)])
    )
