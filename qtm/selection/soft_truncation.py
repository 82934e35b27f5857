"""Truncation of a noisy trait."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import log_cdf, parameter, require, require_positive, safe_sqrt
from qtm.selection._base import FitnessSelection
from qtm.selection.truncation import intensity
from qtm.states import Moments, State


class SoftTruncation(FitnessSelection):
    """The top `fraction` p survives by a noisy measurement: truncation with a slope.

    Fitness Phi((x - c)/s) at x = (z - m)/sd, c = Phi^-1(1 - p) sqrt(1 + s^2). Measured is x + s e,
    e standard normal, whose top fraction p survives, so with i and k as in `Truncation` and the
    accuracy rho = 1/sqrt(1 + s^2) of the measurement

    m* = m + rho i sd,   V* = V (1 - rho^2 k).

    `fraction` is p, `softness` is s, in standard deviations of the population. Both broadcast
    against the traits and may be functions of the generation. m and sd are those of the population;
    where it is not Gaussian the surviving fraction is not exactly p. Smooth in the trait and in
    both parameters, so it can be fitted where hard truncation cannot.

    Raises ValueError if the fraction is not in (0, 1] or the softness not greater than 0;
    `Truncation` is its limit.

    Source: selection on a correlated index; Bulmer (1971), Am. Nat. 105:201-211.
    """

    fraction: Float[Array, "..."] = eqx.field(converter=parameter)
    softness: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require("fraction", self.fraction, "in (0, 1]", lambda p: (p > 0) & (p <= 1))
        require_positive("softness", self.softness)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(fraction=0.3, softness=0.6)]

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        s = self.softness
        c = -ndtri(jnp.minimum(self.fraction, 1 - 2.0**-53)) * jnp.sqrt(1 + s**2)
        margin = Moments(population.mean, population.variance).standardize(z) - c
        return jnp.where(self.fraction >= 1, 0.0, log_cdf(margin / s))

    def moments(self, state: Moments) -> Moments:
        i, k = intensity(self.fraction)
        rho2 = 1 / (1 + self.softness**2)
        return Moments(
            state.mean + jnp.sqrt(rho2) * i * safe_sqrt(state.variance),
            state.variance * (1 - rho2 * k),
        )
