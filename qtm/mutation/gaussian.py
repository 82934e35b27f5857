"""Gaussian noise."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._core.matrices import as_matrix, require_variances
from qtm._core.numerics import parameter, require_nonnegative, safe_sqrt
from qtm._core.random import normal
from qtm.mutation._base import SHORT, Mutation, column, rows, short_walk, steps
from qtm.states import Density, Individuals, JointMoments, Moments
from qtm.states.grid import convolved


class GaussianMutation(Mutation):
    """Independent N(0, V_m) noise on every individual: m' = m, V' = V + V_m.

    `variance` is V_m (feature units squared per generation). It broadcasts against the traits and
    may be a function of the generation. For correlated traits it is a covariance M `[D, D]`, or one
    variance per trait: P' = P + M.

    Raises ValueError if the variance is negative, or a covariance not positive semidefinite.

    Source: Kimura (1965), PNAS 54:731-736; Lande (1979), Evolution 33:402-416.
    """

    variance: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_variances("variance", self.variance)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(variance=0.3)]

    @property
    def gaussian_variance(self) -> Float[Array, "..."]:
        return self.variance

    def moments(self, state: Moments) -> Moments:
        require_nonnegative("variance", self.variance)
        return Moments(state.mean, state.variance + self.variance)

    def joint(self, state: JointMoments) -> JointMoments:
        M = as_matrix("variance", self.variance, state.mean)
        return JointMoments(state.mean, state.covariance + M)

    def density(self, state: Density) -> Density:
        """Convolve with the Gaussian kernel.

        Accurate to rounding down to 1.5 steps of the grid, below which the variance stays exact and
        the shape is of second order.
        """
        return convolved(state, gaussian_kernel(state, self.variance))

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        noise = safe_sqrt(self.variance) * normal(key, state.values.shape)
        return Individuals(state.values + noise)


def gaussian_kernel(state: Density, variance: Float[Array, "..."]) -> Float[Array, "K ..."]:
    """Return the weights [K, ...], K = 2G - 1, of jumps by integer steps of the grid."""
    k = rows(steps(state), variance)
    t = column(variance) / state.step**2
    long = t >= SHORT
    sampled = jnp.exp(-jnp.square(k) / (2 * jnp.where(long, t, SHORT)))
    sampled = sampled / jnp.sum(sampled, axis=0)
    return jnp.where(long, sampled, short_walk(k, jnp.where(long, SHORT, t)))
