"""Inheritance: what of its training set a finetuned model takes up."""

from abc import abstractmethod

import equinox as eqx
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._numerics import (
    parameter,
    require_finite,
    require_nonnegative,
    require_share,
    safe_sqrt,
)
from qtm.states import Individuals, Moments


class Inheritance(eqx.Module):
    """The map from the training set to the distribution that the finetuned model represents."""

    @abstractmethod
    def moments(self, state: Moments) -> Moments:
        """Mean and variance that the model takes up."""

    @abstractmethod
    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        """One individual of the model for each individual of the training set."""


class Clonal(Inheritance):
    """The model is its training set: full heritability, no base model to fall back on."""

    def moments(self, state: Moments) -> Moments:
        return state

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        return state


class Regression(Inheritance):
    """Finetuning that starts from the base model N(m_b, V_b) and takes up the share h.

    m' = (1 - h) m_b + h m,   V' = (1 - h) V_b + h V

    A model holds a family as parameters, a mean and a variance, and finetuning carries each the
    share h of the way from its base value to that of the training set. This is not a mixture of two
    populations, whose images would come from the base with probability 1 - h: by the law of total
    variance the mixture has (1 - h) V_b + h V within its parts and h (1 - h)(m - m_b)^2 between
    them. One set of parameters has one mean, so the part between them is absent.

    Individuals follow the same law and stay Gaussian: z' = m' + sqrt(h) (z - m) + e with
    e ~ N(0, (1 - h) V_b).

    `heritability` is h; `base_mean` and `base_variance` are in feature units and their square. All
    broadcast against the traits and may be functions of the generation. With S the change of the
    mean by selection, the fixed point of the mean is m_b + S/(1 - h).

    Raises ValueError if the heritability is not in [0, 1], the base mean not finite, or the base
    variance negative.
    """

    heritability: Float[Array, "..."] = eqx.field(converter=parameter)
    base_mean: Float[Array, "..."] = eqx.field(converter=parameter)
    base_variance: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_share("heritability", self.heritability)
        require_finite("base_mean", self.base_mean)
        require_nonnegative("base_variance", self.base_variance)

    def moments(self, state: Moments) -> Moments:
        h = self.heritability
        return Moments(
            (1 - h) * self.base_mean + h * state.mean,
            (1 - h) * self.base_variance + h * state.variance,
        )

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        h, m = self.heritability, state.mean
        mean = (1 - h) * self.base_mean + h * m
        noise = safe_sqrt((1 - h) * self.base_variance) * jr.normal(key, state.values.shape)
        return Individuals(mean + safe_sqrt(h) * (state.values - m) + noise)
