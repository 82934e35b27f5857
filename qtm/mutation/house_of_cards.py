"""Mutants independent of their parents."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._core.numerics import (
    parameter,
    require_finite,
    require_fraction,
    require_nonnegative,
    safe_sqrt,
)
from qtm.mutation._base import Mutation, column
from qtm.states import Density, Individuals, Moments
from qtm.states.density import resolved, with_density


class HouseOfCards(Mutation):
    """With probability mu an individual is replaced by a draw from N(m_h, V_h).

    p' = (1 - mu) p + mu N(m_h, V_h)
    m' = (1 - mu) m + mu m_h,   V' = (1 - mu) V + mu V_h + mu (1 - mu)(m - m_h)^2

    `rate` is mu, a fraction per generation; `mean` and `variance` are m_h and V_h (feature units
    and their square). All broadcast against the traits and may be functions of the generation.
    Without variance the mutants are all alike; a `Density` cannot represent that and raises
    ValueError.

    The two moments are exact in one generation. The population is a mixture and no Gaussian, so
    over many generations of selection moments are wrong: for mu = 0.1, N(0, 1) mutants and
    stabilizing selection of omega^2 = 1, their variance is 1.05, 1.13 and 1.46 times that of the
    density in generations 3, 5 and 40; the rarer the mutants, the worse. `Density` makes no such
    error.

    Raises ValueError if the rate is not in [0, 1], the mean not finite or the variance negative.

    Source: Kingman (1978), J. Appl. Probab. 15:1-12; Turelli (1984), Theor. Popul. Biol.
    25:138-193.
    """

    rate: Float[Array, "..."] = eqx.field(converter=parameter)
    mean: Float[Array, "..."] = eqx.field(converter=parameter)
    variance: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_fraction("rate", self.rate)
        require_finite("mean", self.mean)
        require_nonnegative("variance", self.variance)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(rate=0.2, mean=-0.4, variance=1.3)]

    def moments(self, state: Moments) -> Moments:
        mu, apart = self.rate, state.mean - self.mean
        return Moments(
            (1 - mu) * state.mean + mu * self.mean,
            (1 - mu) * state.variance + mu * self.variance + mu * (1 - mu) * jnp.square(apart),
        )

    def density(self, state: Density) -> Density:
        zeros = jnp.zeros(state.density.shape[1:])
        mutants = Density.normal(
            self.mean + zeros,
            self.variance + zeros,
            state.grid[0],
            state.grid[-1],
            len(state.grid),
        )
        mu = column(self.rate)
        return resolved(with_density(state, (1 - mu) * state.density + mu * mutants.density))

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        choice, replacement = jr.split(key)
        shape = state.values.shape
        mutates = jr.uniform(choice, shape) < self.rate
        drawn = self.mean + safe_sqrt(self.variance) * jr.normal(replacement, shape)
        return Individuals(jnp.where(mutates, drawn, state.values))
