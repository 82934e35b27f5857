"""The best of n."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import log_cdf, parameter, require, safe_sqrt
from qtm.selection._base import FitnessSelection, log_fraction
from qtm.states import Moments, State

_X = np.linspace(-8.5, 8.5, 513)


class BestOf(FitnessSelection):
    """Every parent is the best of n individuals: fitness n F(z)^(n-1), F the cdf.

    On a Gaussian the parents are the largest of n normal draws. Their mean and variance have no
    closed form for general n; they are sums over an even grid around the median of the largest,
    accurate to 1e-9 for n from 1 to 1e12. `n` need not be whole; it broadcasts against the traits
    and may be a function of the generation. For N individuals, each with a rank step of 1/N,
    fitness is the mean of n F^(n-1) over the step, which is the law of the best of n draws.

    Raises ValueError if n is below 1 or not finite.

    Source: order statistics; David & Nagaraja (2003), Order Statistics, 3rd ed., ch. 2 and 3.
    """

    n: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require("n", self.n, "at least 1 and finite", lambda n: (n >= 1) & (abs(n) < jnp.inf))

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(n=3.0)]

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        if isinstance(population, Moments):
            return (self.n - 1) * jnp.maximum(log_cdf(population.standardize(z)), -1e300)
        top = 1 - population.above(z)
        tied = jnp.clip(population.tied(z) / jnp.where(top > 0, top, 1.0), 1e-300, 1 - 2.0**-53)
        mean_over_step = -jnp.expm1(self.n * jnp.log1p(-tied)) / (self.n * tied)
        return (self.n - 1) * log_fraction(top) + jnp.log(mean_over_step)

    def moments(self, state: Moments) -> Moments:
        n = self.n[..., None]
        median = -ndtri(-jnp.expm1(-jnp.log(2) / n))  # F^n = 1/2
        x = jax.lax.stop_gradient(median) + _X
        p = jax.nn.softmax((n - 1) * log_cdf(x) - jnp.square(x) / 2, axis=-1)
        mean = jnp.sum(p * x, axis=-1, keepdims=True)
        variance = jnp.sum(p * jnp.square(x - mean), axis=-1)
        return Moments(
            state.mean + mean[..., 0] * safe_sqrt(state.variance), state.variance * variance
        )
