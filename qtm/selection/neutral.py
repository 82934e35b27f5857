"""No selection."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm.selection._base import FitnessSelection, normal_draws
from qtm.states import Individuals, JointMoments, Moments, State


class Neutral(FitnessSelection):
    """Every individual has the same fitness.

    Moments stay as they are. Individuals are still drawn with replacement, so a finite population
    drifts: E[V'] = V (1 - 1/N).
    """

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        return jnp.zeros(jnp.broadcast_shapes(jnp.shape(z), population.mean.shape))

    def moments(self, state: Moments) -> Moments:
        return state

    def sampled(self, model: Moments, key: PRNGKeyArray, size: int) -> Individuals:
        return normal_draws(model, key, size)

    def joint(self, state: JointMoments) -> JointMoments:
        return state
