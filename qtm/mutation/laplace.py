"""Noise with a peak and exponential tails."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._core.numerics import parameter, require_nonnegative, safe_sqrt
from qtm.mutation._base import Mutation, column, rows, steps
from qtm.states import Density, Individuals, Moments
from qtm.states.grid import convolved


class LaplaceMutation(Mutation):
    """Independent noise of density exp(-|e|/b)/(2b), b = sqrt(V_m/2): m' = m, V' = V + V_m.

    Most mutants are small and a few large: the kurtosis of the noise is 6, that of a Gaussian 3.
    `variance` is V_m (feature units squared per generation). It broadcasts against the traits and
    may be a function of the generation. Moments are exact in one generation; over many, selection
    sees the kurtosis, which moments omit (`Density` does not).

    Raises ValueError if the variance is negative.

    Source: Turelli (1984), Theor. Popul. Biol. 25:138-193, on leptokurtic mutants; the discrete
    kernel is Inusah & Kozubowski (2006), J. Stat. Plan. Inference 136:1090-1102.
    """

    variance: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_nonnegative("variance", self.variance)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(variance=0.3)]

    def moments(self, state: Moments) -> Moments:
        return Moments(state.mean, state.variance + self.variance)

    def density(self, state: Density) -> Density:
        """Convolve with the discrete Laplace law, weights in proportion to rho^|k|.

        Its variance is exact on any grid: 2 rho/(1 - rho)^2 = V_m/dz^2.
        """
        k = rows(steps(state), self.variance)
        t = column(self.variance) / state.step**2
        rho = t / (1 + t + jnp.sqrt(1 + 2 * t))
        # 0^0 has the slope nan; without variance nothing but the step 0 has a weight
        log_rho = jnp.log(jnp.where(rho > 0, rho, 1e-300))
        return convolved(state, (1 - rho) / (1 + rho) * jnp.exp(jnp.abs(k) * log_rho))

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        noise = safe_sqrt(self.variance / 2) * jr.laplace(key, state.values.shape)
        return Individuals(state.values + noise)
