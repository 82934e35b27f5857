"""Populations: two moments of a Gaussian trait, or the individuals themselves.

Both answer the questions that selection asks: `mean`, `variance`, `cdf(z)`, and the shares strictly
`below(z)` and `above(z)`. The two shares are kept apart because 1 - cdf(z) has no digits left in
the upper tail, and because individuals can tie.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._numerics import real, require_nonnegative, safe_sqrt, whole


class Moments(eqx.Module):
    """Gaussian populations N(mean, variance), one per entry.

    `mean` (feature units) and `variance` (feature units squared) may have any shapes that
    broadcast; both are stored at the common shape `[...]`. Each entry is a population of its own: a
    trait, a prompt family, a replicate.

    Raises ValueError if a variance is negative or the shapes do not broadcast.
    """

    mean: Float[Array, "..."]
    variance: Float[Array, "..."]

    def __init__(self, mean: ArrayLike, variance: ArrayLike):
        m, V = real(mean), real(variance)
        require_nonnegative("variance", V)
        try:
            shape = jnp.broadcast_shapes(m.shape, V.shape)
        except ValueError:
            raise ValueError(
                f"mean and variance must have shapes that broadcast, got {m.shape} and {V.shape}."
            ) from None
        self.mean = jnp.broadcast_to(m, shape)
        self.variance = jnp.broadcast_to(V, shape)

    def standardize(self, z: ArrayLike) -> Float[Array, "..."]:
        """(z - mean)/sd; without variance every trait value off the mean is infinitely far away."""
        apart = real(z) - self.mean
        spread = self.variance > 0
        sd = safe_sqrt(jnp.where(spread, self.variance, 1.0))
        return jnp.where(spread, apart / sd, jnp.where(apart == 0, 0.0, jnp.sign(apart) * jnp.inf))

    def cdf(self, z: ArrayLike) -> Float[Array, "..."]:
        """Share of the population at or below z."""
        return jnp.where((self.variance == 0) & (real(z) == self.mean), 1.0, self.below(z))

    def below(self, z: ArrayLike) -> Float[Array, "..."]:
        """Share of the population strictly below z, Phi((z - mean)/sd)."""
        x = self.standardize(z)
        return jnp.where((self.variance == 0) & (x == 0), 0.0, ndtr(x))

    def above(self, z: ArrayLike) -> Float[Array, "..."]:
        """Share of the population strictly above z, accurate far in the upper tail."""
        x = self.standardize(z)
        return jnp.where((self.variance == 0) & (x == 0), 0.0, ndtr(-x))


class Individuals(eqx.Module):
    """Trait values of N individuals (images), in feature units.

    `values` has shape `[N, ...]`. The trailing axes are populations of their own, as the entries of
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
        """`size` draws from N(mean, variance); values `[size, ...]` for moments of shape `[...]`.

        Raises ValueError if a variance is negative or `size` is below 1.
        """
        moments, N = Moments(mean, variance), whole("size", size, least=1)
        eps = jr.normal(key, (N, *moments.mean.shape))
        return cls(moments.mean + safe_sqrt(moments.variance) * eps)

    @property
    def size(self) -> int:
        """Number of individuals N."""
        return self.values.shape[0]

    @property
    def mean(self) -> Float[Array, "..."]:
        return jnp.mean(self.values, axis=0)

    @property
    def variance(self) -> Float[Array, "..."]:
        """Population variance, divisor N (ddof = 0)."""
        return jnp.var(self.values, axis=0)

    def cdf(self, z: ArrayLike) -> Float[Array, "..."]:
        """Share of the individuals at or below z; z broadcasts against the trailing axes."""
        return self._rank(z, side="right") / self.size

    def below(self, z: ArrayLike) -> Float[Array, "..."]:
        """Share of the individuals strictly below z."""
        return self._rank(z, side="left") / self.size

    def above(self, z: ArrayLike) -> Float[Array, "..."]:
        """Share of the individuals strictly above z."""
        return (self.size - self._rank(z, side="right")) / self.size

    def _rank(self, z: ArrayLike, side: str) -> Array:
        """How many individuals lie below z ("left"), or at or below it ("right")."""
        traits = self.values.shape[1:]
        at = jnp.broadcast_to(real(z), np.broadcast_shapes(jnp.shape(z), traits))
        columns = 1 if not traits else int(np.prod(traits))
        count = jax.vmap(
            lambda values, points: jnp.searchsorted(values, points, side=side),
            in_axes=1,
            out_axes=1,
        )
        ranks = count(
            jnp.sort(self.values.reshape(self.size, columns), axis=0), at.reshape(-1, columns)
        )
        return real(ranks.reshape(at.shape))  # an int32 count would divide to a float32


State = Moments | Individuals


def require_key(key: PRNGKeyArray | None) -> PRNGKeyArray:
    """`key`, or ValueError: what happens to individuals is random."""
    if key is None:
        raise ValueError("key must be given for Individuals, got None.")
    return key
