"""Selection of both extremes."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import parameter, require
from qtm.selection._base import FitnessSelection, extreme, log_fraction
from qtm.states import Moments, State


class Tails(FitnessSelection):
    """Both tails survive, `fraction` p in all, p/2 on each side.

    x = Phi^-1(1 - p/2),   m* = m,   V* = V (1 + 2 x phi(x)/p)

    `fraction` broadcasts against the traits and may be a function of the generation. Of N
    individuals the ceil(p N/2) on each side survive, and all that tie with the last of them.

    Moments are exact for one generation. The survivors have two peaks, so iterated they are wrong:
    for p = 1/2 and half of everything inherited, the other half being N(0, 1), their variance is
    1.03, 1.19 and 2.57 times that of the density in generations 2, 5 and 40. `Density` makes no
    such error.

    Raises ValueError if the fraction is not in (0, 1].

    Source: the truncated normal distribution; Walsh & Lynch (2018), Evolution and Selection of
    Quantitative Traits, ch. 14.
    """

    fraction: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require("fraction", self.fraction, "in (0, 1]", lambda p: (p > 0) & (p <= 1))

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(fraction=0.3)]

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        both = (extreme(population, z, side, self.fraction / 2) for side in ("upper", "lower"))
        return log_fraction(jnp.minimum(sum(both), 1.0))

    def moments(self, state: Moments) -> Moments:
        p = self.fraction
        x = -ndtri(p / 2)
        phi_over_p = jnp.exp(-jnp.square(x) / 2 - jnp.log(2 * jnp.pi) / 2 - jnp.log(p))
        return Moments(state.mean, state.variance * (1 + 2 * x * phi_over_p))
