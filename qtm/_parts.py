"""Parts of a life cycle: maps from population to population, with a verb for each kind."""

import inspect
from typing import Self

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import ArrayLike, PRNGKeyArray

from qtm._core.numerics import safe_sqrt
from qtm.states import Density, Individuals, JointMoments, Moments


class Part(eqx.Module):
    """A map from one population to another.

    It has a verb for each kind of population: `moments`, `density`, `individuals` and `joint`, for
    `JointMoments`. A part overrides the verbs that it has a form for; the others raise ValueError.
    """

    @classmethod
    def examples(cls) -> list[Self]:
        """Return instances for the tests to try on populations of means near 0, variances near 1.

        By default one, in which every parameter without a default is 0.5. A form for which that
        value is invalid or uninformative overrides this.
        """
        parameters = inspect.signature(cls).parameters.values()
        return [cls(**{p.name: 0.5 for p in parameters if p.default is p.empty})]

    def moments(self, state: Moments) -> Moments:
        """Return mean and variance after this part, entry by entry."""
        raise self._no_form("Moments")

    def density(self, state: Density) -> Density:
        """Return the density after this part, on the same grid."""
        raise self._no_form("Density")

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        """Return the individuals after this part."""
        raise self._no_form("Individuals")

    def joint(self, state: JointMoments) -> JointMoments:
        """Return mean vector and covariance matrix after this part."""
        raise self._no_form("JointMoments")

    def _no_form(self, state: str) -> ValueError:
        return ValueError(f"{type(self).__name__} has no form for {state}.")


class Sampling(Part):
    """The sampling of N images, each a draw from the population: the source of drift.

    With a key moments drift as a Gaussian refitted to N draws does, m + sqrt(V/N) e and
    V chi2_{N-1}/N; without one, and always if they are joint, they take their expectation: the mean
    stays and the variance becomes V (1 - 1/N). A density is infinite. Individuals have been drawn
    already, by selection.
    """

    size: int | None = eqx.field(static=True)

    def moments(self, state: Moments, key: PRNGKeyArray | None = None) -> Moments:
        if self.size is None:
            return state
        if key is None:
            return Moments(state.mean, state.variance * (1 - 1 / self.size))
        return sample(state, self.size, key)

    def density(self, state: Density) -> Density:
        return state

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        return state

    def joint(self, state: JointMoments) -> JointMoments:
        if self.size is None:
            return state
        return JointMoments(state.mean, state.covariance * (1 - 1 / self.size))


def sample(state: Moments, N: ArrayLike, key: PRNGKeyArray) -> Moments:
    """Draw mean and variance (divisor N) of N draws from N(m, V); N need not be an integer."""
    m, V = state.mean, state.variance
    of_mean, of_variance = jr.split(key)
    several = jnp.asarray(N) > 1
    chi2 = jr.chisquare(of_variance, jnp.where(several, N - 1.0, 1.0), V.shape)  # pyright: ignore
    variance = jnp.where(several, V * chi2 / jnp.maximum(N, 1.0), 0.0)
    error = safe_sqrt(
        V / jnp.maximum(N, 1e-100)
    )  # N = 0 comes with weight 0: the error stays finite
    return Moments(m + error * jr.normal(of_mean, m.shape), variance)
