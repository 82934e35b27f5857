"""Parameters of correlated traits: a number, one per trait `[D]`, or a matrix `[D, D]`."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from qtm._core.numerics import concrete, require, require_nonnegative


def require_variances(name: str, value: Array, positive: bool = False) -> None:
    """Raise ValueError unless `value` is nonnegative (positive) numbers or such a matrix."""
    if concrete(value) and bool(np.any(np.asarray(value) < 0)) and _is_symmetric(value):
        least = np.linalg.eigvalsh(np.asarray(value)).min()
        bound = "greater than 0" if positive else "at least 0"
        floor = 0.0 if positive else -1e-12 * np.abs(np.asarray(value)).max()
        holds = (lambda x: x > floor) if positive else (lambda x: x >= floor)
        require(f"least eigenvalue of {name}", least, bound, holds)
    elif positive:
        require(name, value, "greater than 0", lambda v: v > 0)
    else:
        require_nonnegative(name, value)


def as_matrix(name: str, value: Array, mean: Array) -> Array:
    """Return `value` as a matrix `[D, D]`: numbers go to its diagonal."""
    D = mean.size
    if value.shape == (D, D) and D > 1:
        return value
    if value.shape in ((), (1,), (D,)):
        return jnp.diag(jnp.broadcast_to(value, (D,)))
    if value.shape == (1, 1) and D == 1:
        return value
    raise ValueError(
        f"{name} must be a number or have shape ({D},) or ({D}, {D}) for {D} traits, "
        f"got shape {value.shape}."
    )


def _is_symmetric(value: Array) -> bool:
    if value.ndim != 2 or value.shape[0] != value.shape[1]:
        return False
    return bool(np.allclose(np.asarray(value), np.asarray(value).T, rtol=1e-10, atol=0))


def as_vector(name: str, value: Array, mean: Array) -> Array:
    """Return `value` as a vector `[D]`."""
    if value.shape not in ((), (1,), mean.shape):
        raise ValueError(
            f"{name} must be a number or have shape {mean.shape}, got shape {value.shape}."
        )
    return jnp.broadcast_to(value, mean.shape)


@jax.custom_jvp
def inverse(
    matrices: Float[Array, "*n K K"],
) -> tuple[Float[Array, "*n K K"], Float[Array, "*n"]]:
    """Return A^-1 and ln |A| of symmetric positive definite matrices, by K sweeps.

    A sweep takes A_ij to A_ij - A_ik A_kj / A_kk, A_ik to A_ik / A_kk and A_kk to -1 / A_kk; all K
    of them leave -A^-1. Without LAPACK, because JAX spreads its batches over the threads on which
    the program itself runs, and waits for them there: two at a time never end on two processors.
    """
    K = matrices.shape[-1]

    def sweep(state, k):
        A, log_volume = state
        here = jnp.arange(K) == k
        column = jnp.einsum("...ik,k->...i", A, here.astype(A.dtype))
        pivot = jnp.einsum("...i,i->...", column, here.astype(A.dtype))[..., None, None]
        scaled = column[..., :, None] * (column[..., None, :] / pivot)
        crossing = here[:, None] | here[None]
        A = jnp.where(crossing, A / pivot, A - scaled)
        A = jnp.where(here[:, None] & here[None], -1 / pivot, A)
        return (A, log_volume + jnp.log(pivot[..., 0, 0])), None

    start = (matrices, jnp.zeros(matrices.shape[:-2], matrices.dtype))
    (swept, log_volume), _ = lax.scan(sweep, start, jnp.arange(K))
    return -swept, log_volume


@inverse.defjvp
def _(primals, tangents):
    (A,), (change,) = primals, tangents
    inverted, log_volume = inverse(A)
    product = inverted @ change
    return (inverted, log_volume), (
        -product @ inverted,
        jnp.trace(product, axis1=-2, axis2=-1),
    )
