"""Eigenvalues and axes of covariances."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from threadpoolctl import threadpool_limits

from qtm._core.numerics import safe_sqrt

P = ParamSpec("P")
T = TypeVar("T")


def one_thread(function: Callable[P, T]) -> Callable[P, T]:
    """Run `function` with LAPACK on one thread.

    The threads of OpenBLAS wait for each other hundreds of times in one small matrix. Ten of size
    256 take 0.1 s with them or without, and a minute where another program uses the same cores.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with threadpool_limits(1, user_api="blas"):
            return jax.block_until_ready(function(*args, **kwargs))

    return run


@one_thread
@jax.jit
def spectrum(covariances: Array) -> tuple[Array, Array]:
    """Return eigenvalues [C, d] and orthonormal axes [C, d, d], in columns, of [C, d, d]."""
    values, axes = jnp.linalg.eigh(covariances)
    return values, axes


def of_factors(factors: Array) -> tuple[Array, Array]:
    """Return spectra [C, r] and axes [C, d, r] of covariances F_c^T F_c, factors F [C, k, d].

    r is the smaller of k and d: fewer factors than traits leave the rest without variance.
    """
    k, d = factors.shape[1:]
    if k < d:
        _, sizes, rows = jnp.linalg.svd(factors, full_matrices=False)
        return jnp.square(sizes), rows.swapaxes(1, 2)
    values, axes = jnp.linalg.eigh(factors.swapaxes(1, 2) @ factors)
    return jnp.maximum(values, 0.0), axes


def factors_of(spectra: Array, axes: Array) -> Array:
    """Return factors F [C, r, d] of spectra [C, r] and axes [C, d, r]."""
    return (safe_sqrt(spectra)[:, None] * axes).swapaxes(1, 2)


def fitted(z: Array, family: np.ndarray, ddof: int) -> tuple[Array, Array, Array]:
    """Return means [C, d], spectra [C, r], axes [C, d, r] of traits z [n, d] in families < C."""
    sizes = np.bincount(family)
    # The rows of each family, padded to the largest with masked rows.
    place = np.full((len(sizes), sizes.max()), len(family))
    order = np.argsort(family, kind="stable")
    for c, rows in enumerate(np.split(order, np.cumsum(sizes)[:-1])):
        place[c, : len(rows)] = rows
    return _fitted(z, jnp.asarray(place), jnp.asarray(sizes), ddof)


@one_thread
@eqx.filter_jit
def _fitted(z: Array, place: Array, sizes: Array, ddof: int) -> tuple[Array, Array, Array]:
    held = (place < len(z))[..., None]
    rows = jnp.where(held, z.at[place].get(mode="clip"), 0.0)
    n = sizes[:, None]
    means = rows.sum(axis=1) / n
    factors = jnp.where(held, rows - means[:, None], 0.0) / jnp.sqrt(n - ddof)[..., None]
    spectra, axes = of_factors(factors)
    if place.shape[1] <= z.shape[1]:
        # n centred rows span n - 1 axes: the last has variance 0.
        spectra, axes = spectra[:, :-1], axes[:, :, :-1]
    return means, spectra, axes
