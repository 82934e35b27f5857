"""Populations of individuals."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import real, require_integer, safe_sqrt
from qtm.states._columns import by_column
from qtm.states._evolving import Draws, Evolving, require_trait_axes
from qtm.states.moments import Moments


class Individuals(Evolving):
    """Trait values of N individuals (images), in feature units.

    `values` has shape `[N, ...]`. The trailing axes are separate populations, as the entries of
    `Moments` are: selection in one does not move another. `mean` and `variance` have the trailing
    shape `[...]`. The variance is that of the population, with divisor N (ddof = 0).

    Raises ValueError without at least one individual.
    """

    values: Float[Array, "N ..."] = eqx.field(converter=real)

    def __check_init__(self):
        if self.values.ndim == 0 or self.values.shape[0] == 0:
            raise ValueError(
                f"values must have shape [N, ...] with N at least 1, got {self.values.shape}."
            )

    @classmethod
    def normal(
        cls,
        key: PRNGKeyArray,
        mean: ArrayLike = 0.0,
        variance: ArrayLike = 1.0,
        size: int = 1000,
    ) -> "Individuals":
        """Draw `size` from N(mean, variance); values `[size, ...]` for moments of shape `[...]`.

        Raises ValueError if a variance is negative or `size` is below 1.
        """
        moments, N = Moments(mean, variance), require_integer("size", size, least=1)
        eps = jr.normal(key, (N, *moments.mean.shape))
        return cls(moments.mean + safe_sqrt(moments.variance) * eps)

    def after(self, part: Any, *draws: Any) -> Any:
        return part.individuals(self, *draws)

    def draws(self, key: PRNGKeyArray | None, size: int | None) -> Draws:
        if key is None:
            raise ValueError("key must be given for Individuals, got None.")
        inherit, select, mutate = jr.split(key, 3)
        # No form of inheritance draws both offspring and a training set: one key serves both.
        return (inherit,), (select, size or self.size), (mutate,), (inherit,)

    def require_axes(self, axes_after: Callable[[tuple[int, ...]], tuple[int, ...]]) -> None:
        require_trait_axes("values", "N", self.values, axes_after)

    @property
    def size(self) -> int:
        """Number of individuals N."""
        return self.values.shape[0]

    @property
    def mean(self) -> Float[Array, "..."]:
        """Mean of the individuals."""
        return jnp.mean(real(self.values), axis=0)

    @property
    def variance(self) -> Float[Array, "..."]:
        """Population variance, divisor N (ddof = 0)."""
        return jnp.var(real(self.values), axis=0)

    def cdf(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of individuals at or below z; z broadcasts to the trailing axes."""
        return self._rank(z, side="right") / self.size

    def below(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of individuals strictly below z."""
        return self._rank(z, side="left") / self.size

    def above(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of individuals strictly above z."""
        return (self.size - self._rank(z, side="right")) / self.size

    def tied(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of individuals exactly at z."""
        return self.cdf(z) - self.below(z)

    def _rank(self, z: ArrayLike, side: str) -> Array:
        """Count the individuals below z ("left"), or at or below it ("right")."""
        ordered = jnp.sort(real(self.values), axis=0)
        return by_column(
            lambda column, points: jnp.searchsorted(column, points, side=side), ordered, z
        )
