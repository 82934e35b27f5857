"""Selection of phenotypes as a map of breeding values."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._core.matrices import as_matrix
from qtm.mutation.gaussian import gaussian_kernel
from qtm.selection import Selection
from qtm.selection._base import log_fraction
from qtm.states import Density, Individuals, JointMoments, Moments
from qtm.states.grid import convolved, reweighted


class OnPhenotype(Selection):
    """`selection` of phenotypes a + e, e ~ N(0, V_E), as a map of breeding values a.

    Moments, and individuals under a selection without a fitness, use the regression of a on a + e,
    which is exact for Gaussian breeding values; otherwise a density and individuals use the law of
    fitness itself.
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
        log_w = self.selection.log_weights(seen)
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
        return self.selection.by_phenotype(state, self.environmental_variance, key, size)

    @property
    def gaussian_fitness(self) -> tuple[Float[Array, "..."], Float[Array, "..."]] | None:
        """That of phenotypes, averaged over the environment: the squared width is omega^2 + V_E."""
        fitness = self.selection.gaussian_fitness
        if fitness is None:
            return None
        optimum, width2 = fitness
        return optimum, width2 + self.environmental_variance
