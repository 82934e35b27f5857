"""Operations on a density on its grid: a weight, a map of the trait, a convolution."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from qtm.states._columns import by_column
from qtm.states.density import Density, resolved, with_density


def reweighted(state: Density, log_weight: Float[Array, "G ..."]) -> Density:
    """Return the density proportional to p exp(log_weight), for log weights of any size."""
    p = state.density
    alive = p > 0
    log_p = jnp.where(alive, jnp.log(jnp.where(alive, p, 1.0)), -jnp.inf) + log_weight
    return resolved(with_density(state, jax.nn.softmax(log_p, axis=0)))


def carried(state: Density, mean: Float[Array, "..."], stretch: Float[Array, "..."]) -> Density:
    """Map the population by z -> mean + stretch (z - old mean), for a stretch greater than 0.

    The logarithm of the density is interpolated by cubics: no error at all for a Gaussian, and of
    fourth order for any other; beside a hole in the density it is linear in the density.
    """
    p = state.density
    origin = state.mean + (state.nodes - mean) / stretch

    def interpolate(column: Array, points: Array) -> Array:
        G = len(column)
        x = (points - state.grid[0]) / state.step
        i = jnp.clip(jnp.floor(x).astype(int), 1, G - 3)
        u = x - i
        near = jnp.stack([column[i + k] for k in (-1, 0, 1, 2)])
        is_positive = jnp.all(near > 0, axis=0)
        cubic = jnp.stack(
            [
                -u * (u - 1) * (u - 2) / 6,
                (u + 1) * (u - 1) * (u - 2) / 2,
                -(u + 1) * u * (u - 2) / 2,
                (u + 1) * u * (u - 1) / 6,
            ]
        )
        smooth = jnp.exp(jnp.sum(cubic * jnp.log(jnp.where(is_positive, near, 1.0)), axis=0))
        rough = jnp.maximum((1 - u) * near[1] + u * near[2], 0.0)
        outside = (x < 0) | (x > G - 1)
        return jnp.where(outside, 0.0, jnp.where(is_positive, smooth, rough))

    return resolved(with_density(state, by_column(interpolate, p, origin)))


def convolved(state: Density, kernel: Float[Array, "K ..."]) -> Density:
    """Convolve the density with jumps of k grid steps of weight kernel[G - 1 + k].

    `kernel` is [K, ...] with K = 2G - 1. Direct summation of positive terms: the tails keep their
    digits, which a Fourier transform would lose, and nothing turns negative.
    """
    G, p = len(state.grid), state.density
    kernel = kernel.reshape(2 * G - 1, *[1] * (p.ndim - kernel.ndim), *kernel.shape[1:])
    kernels = jnp.broadcast_to(kernel, (2 * G - 1, *p.shape[1:])).reshape(2 * G - 1, -1)
    spread = jax.vmap(lambda k, p: jnp.convolve(k, p, mode="valid"), in_axes=1, out_axes=1)
    return resolved(with_density(state, spread(kernels, p.reshape(G, -1)).reshape(p.shape)))
