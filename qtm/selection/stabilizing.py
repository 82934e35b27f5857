"""Gaussian fitness around an optimum."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qtm._core.matrices import as_matrix, as_vector, require_variances
from qtm._core.numerics import parameter, real, require_finite, require_positive
from qtm.selection._base import FitnessSelection
from qtm.states import JointMoments, Moments, State


class Stabilizing(FitnessSelection):
    """Fitness exp(-(z - theta)^2 / (2 omega^2)).

    m* = (omega^2 m + V theta)/(V + omega^2),   V* = V omega^2/(V + omega^2)

    `optimum` is theta (feature units). `width2` is omega^2 (feature units squared): the width of
    the fitness function itself, with no environmental variance added; infinite width is neutrality.
    Both broadcast against the traits and may be functions of the generation; a moving optimum acts
    at generation t while generation t is produced.

    For correlated traits theta is a vector `[D]` and Omega a positive definite matrix `[D, D]`, or
    one omega^2 per trait:  P* = (P^-1 + Omega^-1)^-1,   m* = m + P (P + Omega)^-1 (theta - m).

    Raises ValueError if the optimum is not finite or the width not greater than 0.

    Source: Lande (1976), Evolution 30:314-334; Lande (1979), Evolution 33:402-416.
    """

    optimum: Float[Array, "..."] = eqx.field(converter=parameter)
    width2: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_finite("optimum", self.optimum)
        require_variances("width2", self.width2, positive=True)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(optimum=0.8, width2=2.0)]

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        return -jnp.square(real(z) - self.optimum) / (2 * self.width2)

    @property
    def gaussian_fitness(self) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """The optimum and the squared width."""
        return self.optimum, self.width2

    def moments(self, state: Moments) -> Moments:
        require_positive("width2", self.width2)
        m, V, theta = state.mean, state.variance, self.optimum
        # V/omega^2 and not omega^2/V, so that an infinite width is no special case; and only one
        # division a generation, because a sweep does little else (1/width is not repeated)
        kept = 1 / (1 + V * (1 / self.width2))
        return Moments(m + (1 - kept) * (theta - m), V * kept)

    def joint(self, state: JointMoments) -> JointMoments:
        m, P = state.mean, state.covariance
        theta = as_vector("optimum", self.optimum, m)
        Omega = as_matrix("width2", self.width2, m)
        pull = jnp.linalg.solve(P + Omega, P).T  # P (P + Omega)^-1, where P may be singular
        after = P - pull @ P
        return JointMoments(m + pull @ (theta - m), (after + after.T) / 2)
