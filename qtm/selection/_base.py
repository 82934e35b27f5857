"""What a form of selection offers, and how individuals become parents."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm.states import Individuals, Moments, State


class Selection(eqx.Module):
    """A map from the population before selection to the population after it.

    A class is either abstract or final, and no method that is written once is written again below.
    """

    @abstractmethod
    def moments(self, state: Moments) -> Moments:
        """Mean and variance after selection on a Gaussian, in closed form and entry by entry."""

    @abstractmethod
    def individuals(self, state: Individuals, key: PRNGKeyArray, size: int) -> Individuals:
        """`size` individuals drawn from the selected population."""


class FitnessSelection(Selection):
    """Selection by differences in fitness: the one law of a form is its `log_fitness`."""

    @abstractmethod
    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        """Log fitness of trait value z in `population`, up to a constant; -inf is certain death.

        z has shape `[...]` or `[N, ...]` for traits of shape `[...]`, and so has the result.
        """

    def individuals(self, state: Individuals, key: PRNGKeyArray, size: int) -> Individuals:
        """`size` parents, each drawn with a probability proportional to its fitness."""
        return draw_parents(state, self.log_fitness(state.values, state), key, size)


def draw_parents(
    population: Individuals, log_fitness: Float[Array, "N ..."], key: PRNGKeyArray, size: int
) -> Individuals:
    """`size` draws with replacement, with probabilities softmax(log_fitness) over individuals.

    Each trailing entry is a population of its own and draws its own parents.
    """
    N, *traits = population.values.shape
    z = population.values.reshape(N, -1)
    # softmax subtracts the fittest first, so log fitnesses of any size neither overflow nor vanish
    p = jax.nn.softmax(jnp.broadcast_to(log_fitness, (N, *traits)), axis=0).reshape(N, -1)
    draw = jax.vmap(
        lambda key, z, p: jr.choice(key, z, (size,), p=p), in_axes=(0, 1, 1), out_axes=1
    )
    return Individuals(draw(jr.split(key, z.shape[1]), z, p).reshape(size, *traits))
