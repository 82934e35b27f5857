"""Fitness that grows away from a pessimum."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import parameter, real, require_finite, require_positive, valid_where
from qtm.selection._base import FitnessSelection
from qtm.states import Moments, State


class Disruptive(FitnessSelection):
    """Fitness exp(+(z - theta)^2 / (2 omega^2)): stabilizing selection with omega^2 -> -omega^2.

    m* = (omega^2 m - V theta)/(omega^2 - V),   V* = V omega^2/(omega^2 - V)

    `optimum` is theta, here the worst value (feature units); `width2` is omega^2 (feature units
    squared), infinite for neutrality. Both broadcast against the traits and may be functions of the
    generation. The moments exist only for omega^2 > V. Individuals are finite and always have
    parents: the outermost, as omega^2 falls below V.

    A Gaussian stays Gaussian, so the moments of one are exact over any number of generations. With
    anything that skews the population they are not: for omega^2 = 10, half of everything inherited,
    the other half N(0, 1), and a tenth of each generation redrawn from N(3, 0.5) (`HouseOfCards`),
    their variance is 0.997, 1.052 and 1.064 times that of the density in generations 2, 5 and 40.
    Under heavy tails (Laplace, Student) mean fitness does not exist for any width; a `Density`
    then says that it reaches the edge of its grid.

    Raises ValueError if the optimum is not finite or the width not greater than 0, and, from
    moments or a density, if it is not greater than the variance (nan inside `jit`).

    Source: Lande (1976), Evolution 30:314-334, with the sign of the curvature turned.
    """

    optimum: Float[Array, "..."] = eqx.field(converter=parameter)
    width2: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_finite("optimum", self.optimum)
        require_positive("width2", self.width2)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(optimum=0.1, width2=3.0)]

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        return jnp.square(real(z) - self.optimum) / (2 * self.width2)

    def moments(self, state: Moments) -> Moments:
        m, V, theta = state.mean, state.variance, self.optimum
        x = V / self.width2
        exists = valid_where(
            "variance/width2", x, "below 1 for disruptive selection", lambda x: x < 1
        )
        rest = jnp.where(exists, 1 - x, jnp.nan)
        return Moments(m + x / rest * (m - theta), V / rest)
