"""Noise with heavy tails."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._core.numerics import parameter, require, require_nonnegative, safe_sqrt
from qtm.mutation._base import SHORT, Mutation, column, rows, short_walk, steps
from qtm.states import Density, Individuals, Moments
from qtm.states.grid import convolved


class StudentMutation(Mutation):
    """Independent noise with Student's t law of nu degrees of freedom: m' = m, V' = V + V_m.

    e = sqrt(V_m (nu - 2)/nu) t_nu, so that `variance` V_m (feature units squared per generation) is
    the variance of the noise for any tails. `dof` is nu; for nu -> inf the noise is Gaussian.
    Both broadcast against the traits and may be functions of the generation. Moments are exact in
    one generation; over many, selection sees the tails, which moments omit (`Density` does not).

    Raises ValueError if the variance is negative, or dof not finite and greater than 2.

    Source: Student (1908), Biometrika 6:1-25.
    """

    variance: Float[Array, "..."] = eqx.field(converter=parameter)
    dof: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_nonnegative("variance", self.variance)
        require("dof", self.dof, "finite and greater than 2, where a variance begins to exist",
                lambda nu: (nu > 2) & np.isfinite(nu))  # fmt: skip

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(variance=0.3, dof=30.0)]

    def moments(self, state: Moments) -> Moments:
        V_m, _ = jnp.broadcast_arrays(self.variance, self.dof)
        return Moments(state.mean, state.variance + V_m)

    def density(self, state: Density) -> Density:
        """Convolve with the kernel, whose tails end with the grid.

        For few degrees of freedom the variance lacks the part beyond, a fraction of order
        (grid width/sd)^(2 - nu).
        """
        nu, V_m = jnp.broadcast_arrays(self.dof, self.variance)
        k = rows(steps(state), nu)
        t, nu = column(V_m) / state.step**2, column(nu)
        long = t >= SHORT
        x2 = jnp.square(k) / jnp.where(long, t, SHORT)
        sampled = jnp.exp(-(nu + 1) / 2 * jnp.log1p(x2 / (nu - 2)))
        sampled = sampled / jnp.sum(sampled, axis=0)
        kernel = jnp.where(long, sampled, short_walk(k, jnp.where(long, SHORT, t)))
        return convolved(state, kernel)

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        scale = safe_sqrt(self.variance * (self.dof - 2) / self.dof)
        return Individuals(state.values + scale * jr.t(key, self.dof, state.values.shape))
