"""Selection of the middle."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import erf, erfinv
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import parameter, require
from qtm.selection._base import FitnessSelection, extreme, log_fraction
from qtm.states import Moments, State

_roots, _weights = np.polynomial.legendre.leggauss(16)
_U, _DU = (1 + _roots) / 2, _weights / 2


class Middle(FitnessSelection):
    """The middle `fraction` p of the population survives: ranks from (1 - p)/2 to (1 + p)/2.

    x = Phi^-1(1/2 + p/2),   m* = m,   V* = V (1 - 2 x phi(x)/p)

    `fraction` broadcasts against the traits and may be a function of the generation. Of N
    individuals, each with a step of 1/N in rank, those whose step reaches into the middle survive,
    at least one, and all that tie with them.

    Raises ValueError if the fraction is not in (0, 1].

    Source: the truncated normal distribution; Walsh & Lynch (2018), Evolution and Selection of
    Quantitative Traits, ch. 14.
    """

    fraction: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require("fraction", self.fraction, "in (0, 1]", lambda p: (p > 0) & (p <= 1))

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(fraction=0.4)]

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        p = self.fraction
        slack = jnp.minimum(1e-9, p / 4)  # less than p, else of two individuals neither survives
        both = (extreme(population, z, side, (1 + p) / 2, slack) for side in ("upper", "lower"))
        return log_fraction(jnp.maximum(sum(both) - 1, 0.0))

    def moments(self, state: Moments) -> Moments:
        return Moments(state.mean, state.variance * _variance(self.fraction))


def _variance(fraction: Array) -> Array:
    """Compute the variance of the middle of a standard normal law; x^2/3 as p goes to 0."""
    everyone = fraction >= 1
    # the slope at p = 1 is infinite and is taken one float below it
    p = jnp.where(everyone, fraction - 2.0**-53, fraction)
    x = jnp.sqrt(2.0) * erfinv(p)
    # Near 0 the closed form loses its digits; there the integrals are short and easy.
    narrow = jnp.where(x < 1, x, 1.0)[..., None] * _U
    weight = _DU * jnp.exp(-jnp.square(narrow) / 2)
    by_integral = jnp.sum(weight * jnp.square(narrow), -1) / jnp.sum(weight, -1)
    wide = jnp.where(x < 1, 1.0, x)
    by_formula = 1 - wide * jnp.sqrt(2 / jnp.pi) * jnp.exp(-jnp.square(wide) / 2) / erf(
        wide / jnp.sqrt(2.0)
    )
    V = jnp.where(x < 1, by_integral, by_formula)
    return jnp.where(everyone, 1 + V - lax.stop_gradient(V), V)
