"""Moments of correlated traits."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import concrete, real, require_finite
from qtm.states._evolving import Draws, Evolving


class JointMoments(Evolving):
    """D correlated Gaussian traits N(mean, covariance), as `Moments.multivariate` returns them.

    `mean` has shape `[D]` (feature units), `covariance` `[D, D]` (feature units squared),
    symmetric and positive semidefinite. `vmap` makes many populations of it. A separate class,
    because the entries of `Moments` are populations and these are traits of one.

    Neutral, directional, stabilizing and disruptive selection, no and Gaussian mutation, and
    clonal, regressive and infinitesimal inheritance have a form for it, in matrices.

    Raises ValueError if the shapes do not fit or the covariance is not symmetric or has a negative
    eigenvalue.

    Source: Lande (1979), Evolution 33:402-416.
    """

    mean: Float[Array, "D"]
    covariance: Float[Array, "D D"]

    def __init__(self, mean: ArrayLike, covariance: ArrayLike):
        m, P = real(mean), real(covariance)
        if m.ndim != 1 or P.shape != (m.size, m.size):
            raise ValueError(
                f"mean and covariance must have shapes [D] and [D, D], got {m.shape} and {P.shape}."
            )
        require_finite("covariance", P)
        least = least_eigenvalue("covariance", P)
        if least is not None and least < -1e-12 * max(1.0, float(jnp.max(jnp.abs(P)))):
            raise ValueError(f"covariance must have no negative eigenvalue, got {least:g}.")
        self.mean, self.covariance = m, P

    def after(self, part: Any, *draws: Any) -> Any:
        return part.joint(self, *draws)

    def balance(self, inheritance: Any, *parts: Any) -> Any:
        return inheritance.joint_balance(self, *parts)

    def draws(self, key: PRNGKeyArray | None, size: int | None) -> Draws:
        if key is not None and size is not None:
            raise ValueError("key must be None for JointMoments, which take their expectation.")
        return (), (), (), ()

    @property
    def variance(self) -> Float[Array, "D"]:
        """Variance of each trait, the diagonal of the covariance."""
        return jnp.diagonal(real(self.covariance))


def least_eigenvalue(name: str, matrix: Float[Array, "... D D"]) -> float | None:
    """Return the least eigenvalue of a concrete matrix; ValueError if it is not symmetric."""
    if not concrete(matrix):
        return None
    P = np.asarray(matrix)
    if not np.allclose(P, np.swapaxes(P, -1, -2), rtol=1e-10, atol=0):
        raise ValueError(f"{name} must be symmetric, got {P.tolist()}.")
    return float(np.linalg.eigvalsh(P).min()) if P.size else None
