"""Complete inheritance."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._core.matrices import as_matrix, as_vector
from qtm._core.numerics import safe_sqrt
from qtm.inheritance._base import Inheritance, at_optimum
from qtm.mutation import Mutation
from qtm.selection import Selection
from qtm.states import Density, Individuals, JointMoments, Moments


class Clonal(Inheritance):
    """The model is its training set: full heritability, no base model to fall back on."""

    def moments(self, state: Moments) -> Moments:
        return state

    def joint(self, state: JointMoments) -> JointMoments:
        return state

    def density(self, state: Density) -> Density:
        return state

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        return state

    def balance(self, state: Moments, selection: Selection, mutation: Mutation) -> Moments | None:
        """Balance Gaussian fitness and mutation: V = [V_m + sqrt(V_m^2 + 4 V_m V_s)]/2.

        The mean is at the optimum (Kimura 1965, PNAS 54:731-736).
        """
        fitness, V_m = selection.gaussian_fitness, mutation.gaussian_variance
        if fitness is None or V_m is None:
            return None
        theta, V_s = fitness
        return at_optimum(state, theta, V_m / 2 + safe_sqrt(V_m**2 / 4 + V_m * V_s))

    def joint_balance(
        self, state: JointMoments, selection: Selection, mutation: Mutation
    ) -> JointMoments | None:
        """Balance them for correlated traits, Omega^1/2 f(Omega^-1/2 M Omega^-1/2) Omega^1/2.

        f(b) = (b + sqrt(b^2 + 4 b))/2 (Lande 1979, Evolution 33:402-416).
        """
        fitness, variance = selection.gaussian_fitness, mutation.gaussian_variance
        if fitness is None or variance is None:
            return None
        optimum, width2 = fitness
        M = as_matrix("variance", variance, state.mean)
        Omega = as_matrix("width2", width2, state.mean)
        return JointMoments(as_vector("optimum", optimum, state.mean), _matrix_balance(M, Omega))


def _matrix_balance(M: Float[Array, "D D"], Omega: Float[Array, "D D"]) -> Float[Array, "D D"]:
    widths, axes = jnp.linalg.eigh(Omega)
    root = (axes * jnp.sqrt(widths)) @ axes.T
    inverse = (axes / jnp.sqrt(widths)) @ axes.T
    b, turn = jnp.linalg.eigh(inverse @ M @ inverse)
    b = jnp.maximum(b, 0.0)
    return root @ ((turn * ((b + safe_sqrt(b**2 + 4 * b)) / 2)) @ turn.T) @ root
