"""The interface of a form of mutation, and kernels on a grid."""

from abc import abstractmethod

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._parts import Part
from qtm.states import Density, Individuals, Moments


class Mutation(Part):
    """A random change of every individual.

    A form has `moments`, and of the verbs `density`, `individuals` and `joint` those that it has an
    equation for.
    """

    @abstractmethod
    def moments(self, state: Moments) -> Moments:
        """Return mean and variance after mutation."""

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        """Return the same individuals after mutation."""
        raise self._no_form("Individuals")

    @property
    def gaussian_variance(self) -> Float[Array, "..."] | None:
        """The variance V_m of mutation that adds N(0, V_m) to every individual, else None."""
        return None

    @property
    def is_absent(self) -> bool:
        """Whether every individual stays unchanged."""
        return False


def steps(state: Density) -> Array:
    """Return -(G - 1) ... G - 1: all differences of two nodes of a grid, in steps."""
    G = len(state.grid)
    return jnp.arange(1 - G, G, dtype=jnp.float64)


def column(parameter: Array) -> Array:
    """Align a parameter `[...]` with a kernel `[2G - 1, ...]`, whose first axis is the step."""
    return parameter[None]


def rows(k: Array, parameter: Array) -> Array:
    """Align the steps k `[2G - 1]` with a parameter `[...]`."""
    return k.reshape(-1, *[1] * parameter.ndim)


def short_walk(k: Array, variance: Array) -> Array:
    """Return the weights of the step k in three even moves of at most one node.

    The kernel for jumps too small for the grid to resolve. Its variance, at most 2.25, is exact.
    """
    s = variance / 6  # the chance of a move up, and of one down, in each of the three
    u, v = s, 1 - 2 * s
    weights = (v**3 + 6 * u**2 * v, 3 * u * v**2 + 3 * u**3, 3 * u**2 * v, u**3)
    distance = jnp.abs(k)
    return sum(jnp.where(distance == j, w, 0.0) for j, w in enumerate(weights))  # pyright: ignore


SHORT = 2.25
"""Variance in steps squared below which a sampled kernel would no longer be accurate."""
