"""Selection of phenotypes as a map of breeding values."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._core.matrices import as_matrix
from qtm._core.numerics import safe_sqrt
from qtm.mutation.gaussian import gaussian_kernel
from qtm.selection import FitnessSelection, Selection
from qtm.selection._base import draw_parents, fitness_on_grid, log_fraction
from qtm.states import Density, Individuals, JointMoments, Moments
from qtm.states.grid import convolved, reweighted


class OnPhenotype(Selection):
    """`selection` of phenotypes a + e, e ~ N(0, V_E), as a map of breeding values a.

    Moments and samplers without a fitness use the regression of a on a + e, which is exact for
    Gaussian breeding values; a density and individuals use the law of fitness itself.
    """

    selection: Selection
    environmental_variance: Float[Array, "..."]

    def moments(self, state: Moments) -> Moments:
        V_A, V_E = state.variance, self.environmental_variance
        seen = Moments(state.mean, V_A + V_E)
        after = self.selection.moments(seen)
        h2 = V_A / jnp.where(seen.variance > 0, seen.variance, 1.0)
        return Moments(
            state.mean + h2 * (after.mean - state.mean), V_A * (1 - h2) + h2**2 * after.variance
        )

    def joint(self, state: JointMoments) -> JointMoments:
        m, G = state.mean, state.covariance
        P = G + as_matrix("environmental_variance", self.environmental_variance, m)
        after = self.selection.joint(JointMoments(m, P))
        B = jnp.linalg.solve(P, G).T  # G P^-1
        return JointMoments(m + B @ (after.mean - m), G - B @ (P - after.covariance) @ B.T)

    def density(self, state: Density) -> Density:
        kernel = gaussian_kernel(state, self.environmental_variance + 0 * state.mean)
        seen = convolved(state, kernel)
        if not isinstance(self.selection, FitnessSelection):
            raise ValueError(
                f"selection must be by fitness for a density of breeding values, got "
                f"{type(self.selection).__name__}."
            )
        log_w = fitness_on_grid(self.selection, seen)
        # relative to mean fitness; overflow happens only where the density is 0
        mean = jax.nn.logsumexp(log_w + log_fraction(seen.density * state.step), axis=0)
        w = jnp.exp(jnp.minimum(log_w - mean, 600.0))
        G, traits = len(state.grid), state.density.shape[1:]
        kernels = jnp.broadcast_to(kernel, (2 * G - 1, *traits)).reshape(2 * G - 1, -1)
        average = jax.vmap(lambda k, w: jnp.convolve(k, w, mode="valid"), in_axes=1, out_axes=1)
        return reweighted(
            state, log_fraction(average(kernels, w.reshape(G, -1)).reshape(G, *traits))
        )

    def individuals(self, state: Individuals, key: PRNGKeyArray, size: int) -> Individuals:
        express, select, regress = jr.split(key, 3)
        V_E = self.environmental_variance
        noise = safe_sqrt(V_E) * jr.normal(express, state.values.shape)
        seen = Individuals(state.values + noise)
        if isinstance(self.selection, FitnessSelection):
            log_w = self.selection.log_fitness(seen.values, seen)
            return draw_parents(state, log_w, select, size)
        after = self.selection.individuals(seen, select, size).values
        V_A, m = state.variance, state.mean
        h2 = V_A / jnp.where(V_A + V_E > 0, V_A + V_E, 1.0)
        residual = safe_sqrt(h2 * V_E) * jr.normal(regress, after.shape)
        return Individuals(m + h2 * (after - m) + residual)
