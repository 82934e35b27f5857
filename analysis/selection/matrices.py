"""Matrices of (co)variance down the generations: size, shape and directions.

P is the covariance within prompts, B that between prompts (sampling part subtracted). Comparisons
of matrices are those of quantitative genetics: random skewers (Cheverud & Marroig 2007), common
subspaces (Krzanowski 1979), effective dimension, eigenvalues of P^-1 P*.
"""

import numpy as np
from jaxtyping import Float
from scipy import linalg

from analysis.selection.draws import Sample

SKEWERS = 2000


def between_covariance(sample: Sample) -> Float[np.ndarray, "k k"]:
    """Return B: covariance of prompt means (ddof 1) less mean_c(1/n_c) P, in squared feature units;
    nan for one prompt, or where no prompt has two images."""
    k = sample.values.shape[1]
    if len(sample.codes) < 2:
        return np.full((k, k), np.nan)
    centred = sample.means - sample.means.mean(axis=0)
    raw = centred.T @ centred / (len(sample.codes) - 1)
    return raw - sample.covariance * float((1 / sample.sizes).mean())


def relative_eigenvalues(
    before: Float[np.ndarray, "k k"], after: Float[np.ndarray, "k k"]
) -> Float[np.ndarray, " k"]:
    """Return the eigenvalues of P^-1 P*, P before and P* after, rising: by which factors the
    variances of directions are multiplied. nan where P has a direction without variance."""
    if not _is_positive(before) or not np.isfinite(after).all():
        return np.full(len(before), np.nan)
    return linalg.eigh(after, before, eigvals_only=True)


def relative_axes(
    before: Float[np.ndarray, "k k"], after: Float[np.ndarray, "k k"]
) -> Float[np.ndarray, "k k"]:
    """Return the eigenvectors of P^-1 P* as columns, in the order of `relative_eigenvalues`.

    Weights v of components, with v' P v = 1: scores z' v, uncorrelated before and after, whose
    variance selection changes from 1 to the eigenvalue. nan where these are.
    """
    if not _is_positive(before) or not np.isfinite(after).all():
        return np.full(before.shape, np.nan)
    return _signed(linalg.eigh(after, before)[1])


def principal_axes(
    M: Float[np.ndarray, "k k"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k k"]]:
    """Return eigenvalues of a matrix, falling, and eigenvectors of length 1 as columns; nan where
    the matrix is unknown."""
    if not np.isfinite(M).all():
        return np.full(len(M), np.nan), np.full(M.shape, np.nan)
    values, vectors = np.linalg.eigh(M)
    return values[::-1], _signed(vectors[:, ::-1])


def _signed(vectors: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """Return columns with signs such that the largest entry of each is positive."""
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.where(vectors[largest, np.arange(len(largest))] < 0, -1.0, 1.0)


def effective_dimension(M: Float[np.ndarray, "k k"]) -> float:
    """Return (sum of eigenvalues)^2/(sum of their squares), from 1 to k."""
    square = float(np.square(M).sum())
    return float(np.trace(M)) ** 2 / square if square > 0 else np.nan


def random_skewers(
    A: Float[np.ndarray, "k k"], B: Float[np.ndarray, "k k"], seed: int = 0, count: int = SKEWERS
) -> float:
    """Return the mean cosine of the responses A b and B b to `count` random gradients b of length 1
    (Cheverud & Marroig 2007); 1 for proportional matrices, nan where one is 0."""
    if not (np.isfinite(A).all() and np.isfinite(B).all()):
        return np.nan
    b = np.random.default_rng(seed).normal(size=(count, len(A)))
    first, second = b @ A, b @ B
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    if not (lengths > 0).all():
        return np.nan
    return float(((first * second).sum(axis=1) / lengths).mean())


def angle(A: Float[np.ndarray, "k k"], B: Float[np.ndarray, "k k"]) -> float:
    """Return the angle of the leading axes of two matrices in degrees, 0 to 90."""
    if not (np.isfinite(A).all() and np.isfinite(B).all()):
        return np.nan
    cosine = abs(float(_axes(A)[:, 0] @ _axes(B)[:, 0]))
    return float(np.degrees(np.arccos(min(cosine, 1.0))))


def common_subspace(A: Float[np.ndarray, "k k"], B: Float[np.ndarray, "k k"]) -> float:
    """Return the mean squared cosine of the principal angles between the subspaces of the leading
    k // 2 axes (Krzanowski 1979): 1 for equal subspaces, 0 for orthogonal ones; nan for k = 1."""
    leading = len(A) // 2
    if not leading or not (np.isfinite(A).all() and np.isfinite(B).all()):
        return np.nan
    cosines = _axes(A)[:, :leading].T @ _axes(B)[:, :leading]
    return float(np.square(cosines).sum()) / leading


def _axes(M: Float[np.ndarray, "k k"]) -> Float[np.ndarray, "k k"]:
    """Return the eigenvectors, that of the greatest eigenvalue first."""
    return np.linalg.eigh(M)[1][:, ::-1]


def _is_positive(M: Float[np.ndarray, "k k"]) -> bool:
    if not np.isfinite(M).all():
        return False
    values = np.linalg.eigvalsh(M)
    return bool(values[0] > 1e-10 * values[-1])
