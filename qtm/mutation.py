"""Mutation: variance that each generation adds, from training, sampler and decoder noise."""

from abc import abstractmethod

import equinox as eqx
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._numerics import parameter, require_nonnegative, safe_sqrt
from qtm.states import Individuals, Moments


class Mutation(eqx.Module):
    """A random change of every individual."""

    @abstractmethod
    def moments(self, state: Moments) -> Moments:
        """Mean and variance after mutation."""

    @abstractmethod
    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        """The same individuals after mutation."""


class NoMutation(Mutation):
    """Nothing changes."""

    def moments(self, state: Moments) -> Moments:
        return state

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        return state


class GaussianMutation(Mutation):
    """Independent N(0, V_m) noise on every individual: m' = m, V' = V + V_m.

    `variance` is V_m (feature units squared per generation). It broadcasts against the traits and
    may be a function of the generation.

    Raises ValueError if the variance is negative.

    Source: Kimura (1965), PNAS 54:731-736.
    """

    variance: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_nonnegative("variance", self.variance)

    def moments(self, state: Moments) -> Moments:
        return Moments(state.mean, state.variance + self.variance)

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        noise = safe_sqrt(self.variance) * jr.normal(key, state.values.shape)
        return Individuals(state.values + noise)
