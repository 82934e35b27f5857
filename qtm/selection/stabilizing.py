"""Gaussian fitness around an optimum."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qtm._numerics import parameter, real, require_finite, require_positive
from qtm.selection._base import FitnessSelection
from qtm.states import Moments, State


class Stabilizing(FitnessSelection):
    """Fitness exp(-(z - theta)^2 / (2 omega^2)).

    m* = (omega^2 m + V theta)/(V + omega^2),   V* = V omega^2/(V + omega^2)

    `optimum` is theta (feature units). `width2` is omega^2 (feature units squared): the width of
    the fitness function itself, with no environmental variance added; infinite width is neutrality.
    Both broadcast against the traits and may be functions of the generation; a moving optimum acts
    at generation t while generation t is produced.

    Raises ValueError if the optimum is not finite or the width not greater than 0.

    Source: Lande (1976), Evolution 30:314-334.
    """

    optimum: Float[Array, "..."] = eqx.field(converter=parameter)
    width2: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_finite("optimum", self.optimum)
        require_positive("width2", self.width2)

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        return -jnp.square(real(z) - self.optimum) / (2 * self.width2)

    def moments(self, state: Moments) -> Moments:
        m, V, theta = state.mean, state.variance, self.optimum
        x = V / self.width2  # a ratio, so that an infinite width is no special case
        return Moments(m + x / (1 + x) * (theta - m), V / (1 + x))
