"""Exponential fitness."""

from typing import Self

import equinox as eqx
from jaxtyping import Array, ArrayLike, Float

from qtm._core.matrices import as_vector
from qtm._core.numerics import parameter, real, require_finite
from qtm.selection._base import FitnessSelection
from qtm.states import JointMoments, Moments, State


class Directional(FitnessSelection):
    """Fitness exp(b z), where b is the selection gradient (per feature unit).

    m* = m + b V,   V* = V

    For any distribution the cumulant function only shifts, K*(q) = K(q + b) - K(b); on a Gaussian
    that leaves every cumulant but the first alone. `gradient` broadcasts against the traits and may
    be a function of the generation. For correlated traits it is a vector beta `[D]`, and the mean
    responds by P beta.

    Raises ValueError if the gradient is not finite.

    Source: Lande (1976), Evolution 30:314-334; Lande (1979), Evolution 33:402-416.
    """

    gradient: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_finite("gradient", self.gradient)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(gradient=0.4), cls(gradient=-0.7)]

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        return self.gradient * real(z)

    def moments(self, state: Moments) -> Moments:
        return Moments(state.mean + self.gradient * state.variance, state.variance)

    def joint(self, state: JointMoments) -> JointMoments:
        beta = as_vector("gradient", self.gradient, state.mean)
        return JointMoments(state.mean + state.covariance @ beta, state.covariance)
