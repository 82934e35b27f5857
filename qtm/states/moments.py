"""Mean and variance of Gaussian traits."""

from typing import Any

import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import real, require_nonnegative, safe_sqrt
from qtm.states._evolving import Draws, Evolving
from qtm.states.joint import JointMoments


class Moments(Evolving):
    """Gaussian populations N(mean, variance), one per entry.

    `mean` (feature units) and `variance` (feature units squared) may have any shapes that
    broadcast; both are stored at the common shape `[...]`. Each entry is a separate population: a
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

    @classmethod
    def multivariate(cls, mean: ArrayLike, covariance: ArrayLike) -> JointMoments:
        """Return N(mean, covariance) of D correlated traits: vector `[D]`, matrix `[D, D]`.

        Raises ValueError as `JointMoments` does.
        """
        return JointMoments(mean, covariance)

    def after(self, part: Any, *draws: Any) -> Any:
        return part.moments(self, *draws)

    def balance(self, inheritance: Any, *parts: Any) -> Any:
        return inheritance.balance(self, *parts)

    def draws(self, key: PRNGKeyArray | None, size: int | None) -> Draws:
        return (), (), (), (key,)

    def standardize(self, z: ArrayLike) -> Float[Array, "..."]:
        """Compute (z - mean)/sd; without variance, values off the mean are infinitely far away."""
        apart = real(z) - self.mean
        spread = self.variance > 0
        sd = safe_sqrt(jnp.where(spread, self.variance, 1.0))
        return jnp.where(spread, apart / sd, jnp.where(apart == 0, 0.0, jnp.sign(apart) * jnp.inf))

    def cdf(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of the population at or below z."""
        return jnp.where((self.variance == 0) & (real(z) == self.mean), 1.0, self.below(z))

    def below(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of the population strictly below z, Phi((z - mean)/sd)."""
        x = self.standardize(z)
        return jnp.where((self.variance == 0) & (x == 0), 0.0, ndtr(x))

    def above(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of the population strictly above z, accurate far above the mean."""
        x = self.standardize(z)
        return jnp.where((self.variance == 0) & (x == 0), 0.0, ndtr(-x))

    def tied(self, z: ArrayLike) -> Float[Array, "..."]:
        """Return the fraction of the population exactly at z: all or, where it varies, none."""
        return self.cdf(z) - self.below(z)
