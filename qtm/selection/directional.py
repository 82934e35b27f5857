"""Exponential fitness."""

import equinox as eqx
from jaxtyping import Array, ArrayLike, Float

from qtm._numerics import parameter, real, require_finite
from qtm.selection._base import FitnessSelection
from qtm.states import Moments, State


class Directional(FitnessSelection):
    """Fitness exp(b z), where b is the selection gradient (per feature unit).

    m* = m + b V,   V* = V

    For any distribution the cumulant function only shifts, K*(q) = K(q + b) - K(b); on a Gaussian
    that leaves every cumulant but the first alone. `gradient` broadcasts against the traits and may
    be a function of the generation.

    Raises ValueError if the gradient is not finite.

    Source: Lande (1976), Evolution 30:314-334.
    """

    gradient: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_finite("gradient", self.gradient)

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        return self.gradient * real(z)

    def moments(self, state: Moments) -> Moments:
        return Moments(state.mean + self.gradient * state.variance, state.variance)
