"""Guidance schedules: the integrals of `transport` for a scale that depends on the noise level."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import real
from qtm.selection.noise import ByNoise

# Eight Gauss-Legendre nodes in each of 64 cells in the logarithm of the noise variance, and the
# integrals of their interpolating polynomials from the left end of a cell to each node.
_CELLS, _ORDER = 64, 8
_roots, _weights = np.polynomial.legendre.leggauss(_ORDER)
_U, _DU = (1 + _roots) / 2, _weights / 2
_powers = np.vander(_U, increasing=True)
_UP_TO = (_U[:, None] ** np.arange(1, _ORDER + 1) / np.arange(1, _ORDER + 1)) @ np.linalg.inv(
    _powers
)


def scheduled(
    schedule: ByNoise, conditional: ArrayLike, unconditional: ArrayLike, stochastic: bool
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Compute A and V of `transport` for w(sigma), sigma^2 = t; DDPM if `stochastic`, else DDIM.

    The noise variance t runs over a factor 1e12 below the smaller and 1e24 above the larger
    variance, in cells of its logarithm that end at the breaks of the schedule. The limit V_c = 0 is
    that of a scale that is greater than 0 at low noise: A = 1, V = 0.
    """
    V_c, V_u = jnp.broadcast_arrays(real(conditional), real(unconditional))
    spread = V_c > 0
    V_c = jnp.where(spread, V_c, V_u)[..., None, None]
    V_u = V_u[..., None, None]

    low = jnp.log(lax.stop_gradient(jnp.minimum(V_c, V_u)[..., 0])) - 12 * np.log(10)
    high = jnp.log(lax.stop_gradient(jnp.maximum(V_c, V_u)[..., 0])) + 24 * np.log(10)
    even = low + (high - low) * jnp.linspace(0, 1, _CELLS + 1)
    jumps = 2 * jnp.log(jnp.maximum(schedule.breaks, 1e-150)) + 0 * low
    edges = jnp.sort(jnp.concatenate([even, jnp.clip(jumps, low, high)], axis=-1), axis=-1)
    width = jnp.diff(edges)[..., None]
    t = jnp.exp(edges[..., :-1, None] + width * _U)

    w = jnp.broadcast_to(schedule.at(jnp.sqrt(t)), t.shape)
    gap = (V_u - V_c) / ((V_c + t) * (V_u + t))  # 1/(V_c + t) - 1/(V_u + t), without cancellation
    rate = (1 / (V_u + t) + w * gap) * t  # per ln t
    cell = jnp.sum(width * _DU * rate, axis=-1)
    before = jnp.cumsum(cell, axis=-1) - cell
    # below the lowest noise the rate is constant in t
    R = rate[..., :1, :1] + before[..., None] + width * (rate @ _UP_TO.T)

    k = 1.0 if stochastic else 0.5
    integral = lambda y: jnp.sum(width * _DU * y, axis=(-2, -1))
    start = k * (w / (V_c + t))[..., 0, 0] * t[..., 0, 0]
    A = start + integral(jnp.exp(-k * R) * k * w / (V_c + t) * t)
    if stochastic:
        V = t[..., 0, 0] + integral(jnp.exp(-2 * R) * t)
    else:
        V = V_u[..., 0, 0] * jnp.exp(-integral(w * gap * t))
    return jnp.where(spread, A, 1.0), jnp.where(spread, V, 0.0)
