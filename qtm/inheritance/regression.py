"""Partial inheritance: regression to the base model."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._core.matrices import as_matrix, as_vector, require_variances
from qtm._core.numerics import (
    parameter,
    require_finite,
    require_fraction,
    require_nonnegative,
    safe_sqrt,
)
from qtm.inheritance._base import Inheritance
from qtm.mutation.gaussian import gaussian_kernel
from qtm.states import Density, Individuals, JointMoments, Moments
from qtm.states.density import resolved, with_density
from qtm.states.grid import carried, convolved


class Regression(Inheritance):
    """Finetuning that starts from the base model N(m_b, V_b) and takes up the fraction h.

    m' = (1 - h) m_b + h m,   V' = (1 - h) V_b + h V

    A model holds a family as parameters, a mean and a variance, and finetuning carries each the
    fraction h of the way from its base value to that of the training set. This is not a mixture of
    two populations, whose images would come from the base with probability 1 - h: by the law of
    total variance the mixture has (1 - h) V_b + h V within its parts and h (1 - h)(m - m_b)^2
    between them. One set of parameters has one mean, so the part between them is absent.

    Individuals follow the same law and stay Gaussian: z' = m' + sqrt(h) (z - m) + e with
    e ~ N(0, (1 - h) V_b).

    A density follows it too: it is shrunk around its mean and blurred. For correlated traits
    V_b may be a matrix `[D, D]`, h is a number or one per trait, and with H = diag(h)
    P' = H^1/2 P H^1/2 + (1 - H)^1/2 P_b (1 - H)^1/2.

    `heritability` is h; `base_mean` and `base_variance` are in feature units and their square. All
    broadcast against the traits and may be functions of the generation. With S the change of the
    mean by selection, the fixed point of the mean is m_b + S/(1 - h).

    Raises ValueError if the heritability is not in [0, 1], the base mean not finite, or the base
    variance negative.

    Source: regression of offspring on parents (Falconer & Mackay 1996, Introduction to Quantitative
    Genetics, ch. 10), with the base model in the place of the population mean.
    """

    heritability: Float[Array, "..."] = eqx.field(converter=parameter)
    base_mean: Float[Array, "..."] = eqx.field(converter=parameter)
    base_variance: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_fraction("heritability", self.heritability)
        require_finite("base_mean", self.base_mean)
        require_variances("base_variance", self.base_variance)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(heritability=0.7, base_mean=0.5, base_variance=1.5)]

    def moments(self, state: Moments) -> Moments:
        require_nonnegative("base_variance", self.base_variance)
        h = self.heritability
        return Moments(
            (1 - h) * self.base_mean + h * state.mean,
            (1 - h) * self.base_variance + h * state.variance,
        )

    def joint(self, state: JointMoments) -> JointMoments:
        h = as_vector("heritability", self.heritability, state.mean)
        m_b = as_vector("base_mean", self.base_mean, state.mean)
        P_b = as_matrix("base_variance", self.base_variance, state.mean)
        scaled = lambda h, P: safe_sqrt(jnp.outer(h, h)) * P
        return JointMoments(
            (1 - h) * m_b + h * state.mean, scaled(h, state.covariance) + scaled(1 - h, P_b)
        )

    def density(self, state: Density) -> Density:
        after = self.moments(Moments(state.mean, state.variance))
        h, zeros = self.heritability, jnp.zeros(state.mean.shape)
        # The inherited part may be narrower than the grid resolves; the base then hides its shape.
        narrow = h * state.variance < 2 * state.step**2
        shrunk = carried(state, after.mean, jnp.where(narrow, 1.0, safe_sqrt(h)) + zeros)
        blurred = convolved(shrunk, gaussian_kernel(state, (1 - h) * self.base_variance + zeros))
        x = after.standardize(state.nodes)
        gaussian = with_density(state, jnp.exp(-jnp.square(x) / 2))
        return resolved(with_density(state, jnp.where(narrow, gaussian.density, blurred.density)))

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        h, m = self.heritability, state.mean
        mean = (1 - h) * self.base_mean + h * m
        noise = safe_sqrt((1 - h) * self.base_variance) * jr.normal(key, state.values.shape)
        return Individuals(mean + safe_sqrt(h) * (state.values - m) + noise)
