"""The passage of a population through a life cycle."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
from jaxtyping import Array, PRNGKeyArray

Draws = tuple[tuple, tuple, tuple, tuple]
"""Arguments that inheritance, selection, mutation and sampling take besides the population."""


class Evolving(eqx.Module):
    """A population that evolves.

    A kind of population names the verb by which each part of a life cycle acts on it, and its
    random draws in a generation.
    """

    @abstractmethod
    def after(self, part: Any, *draws: Any) -> Any:
        """Return this population after `part`, the `qtm._parts.Part` of a life cycle."""

    @abstractmethod
    def draws(self, key: PRNGKeyArray | None, size: int | None) -> Draws:
        """Return the arguments of the four parts besides the population, `size` being N.

        Raises ValueError if the population cannot be drawn with this key and size.
        """

    @property
    def parts(self) -> tuple[Array, ...]:
        """The variance within and between families, of populations that have them."""
        return ()

    def balance(self, inheritance: Any, *parts: Any) -> Any:
        """Return the equilibrium that inheritance reaches with selection and mutation, the `parts`.

        None unless `inheritance` has it in closed form for this kind of population.
        """
        return None

    def require_axes(self, axes_after: Callable[[tuple[int, ...]], tuple[int, ...]]) -> None:
        """Raise ValueError if the population lacks trait axes that the parameters have.

        `axes_after` gives the axes after one generation of a population of given trait axes.
        """


def require_trait_axes(
    name: str,
    first: str,
    values: Array,
    axes_after: Callable[[tuple[int, ...]], tuple[int, ...]],
) -> None:
    """Raise ValueError unless a generation keeps the axes of values `[first, ...]`.

    Parameters of shape [3] would otherwise pair with the individuals of values [3].
    """
    axes = axes_after(values.shape[1:])
    if axes != values.shape[1:]:
        raise ValueError(
            f"{name} must have shape [{first}, ...] with the trait axes {axes} of the parameters, "
            f"got {values.shape}."
        )
