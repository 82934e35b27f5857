"""Laws that the life cycles of families and of prompts have in common."""

from typing import TypeVar

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import at_generation, is_scheduled

T = TypeVar("T")

# How sharply a quantity saturates at its bound: the fourth power acts as a clamp with a rounded
# corner.
_CORNER = 4


def in_generation(cycle: T, generation: ArrayLike | None) -> T:
    """Return the cycle with the parameters of a generation; itself where none depends on it.

    Raises ValueError if a parameter is a function and no generation is given.
    """
    if not is_scheduled(cycle):
        return cycle
    if generation is None:
        raise ValueError("generation must be given where a parameter depends on it, got None.")
    return at_generation(cycle, generation)


def lag(
    uptake: Float[Array, "..."], drop_uptake: Float[Array, "..."], drop: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Return 1 - u* = (1 - u) e^(-k p), how far the unconditional branch stays with the base."""
    return (1 - uptake) * jnp.exp(-drop_uptake * drop)


def saturated(ratio: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return [1 + x^4]^(-1/4), the fraction that a bound leaves of x times itself."""
    return (1 + ratio**_CORNER) ** (-1 / _CORNER)
