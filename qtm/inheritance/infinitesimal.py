"""Sexual inheritance of a trait with very many loci."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from qtm._core.matrices import as_matrix, require_variances
from qtm._core.numerics import parameter, require_nonnegative, safe_sqrt
from qtm.inheritance._base import Inheritance, at_optimum
from qtm.inheritance.phenotype import OnPhenotype
from qtm.mutation import Mutation
from qtm.mutation.gaussian import gaussian_kernel
from qtm.selection import Selection
from qtm.states import Density, Individuals, JointMoments, Moments
from qtm.states.density import with_density
from qtm.states.grid import convolved


class Infinitesimal(Inheritance):
    """Offspring are their parents' mean plus segregation: a' = (a_1 + a_2)/2 + N(0, V_a/2).

    V_A' = V_A*/2 + V_a/2

    The population that evolves is one of breeding values a, with variance V_A. Selection acts on
    phenotypes a + e, e ~ N(0, V_E), and changes breeding values by their regression on phenotypes:
    with h^2 = V_A/(V_A + V_E) and phenotypes (m, V) -> (m*, V*)

    m_A* = m + h^2 (m* - m),   V_A* = V_A - h^4 (V - V*),

    so that under truncation V_A' = V_A (1 - k h^2)/2 + V_a/2 from one birth to the next. A life
    cycle records the breeding values after selection and mutation; `moments` of them are those at
    birth. Individuals mate at random, each once with each of two others.

    `genic_variance` is V_a, the variance of breeding values without the correlation of loci that
    selection builds up, `environmental_variance` is V_E (feature units squared). Both broadcast
    against the traits and may be functions of the generation; drift and mutation, for instance,
    let V_a follow V_a' = V_a (1 - 1/(2 N_e)) + V_m. For correlated traits both may be matrices
    `[D, D]`, and the mean responds by G beta.

    Raises ValueError if a variance is negative.

    Source: Bulmer (1971), Am. Nat. 105:201-211; Barton, Etheridge & Veber (2017), Theor. Popul.
    Biol. 118:50-73; Lande (1979), Evolution 33:402-416.
    """

    genic_variance: Float[Array, "..."] = eqx.field(converter=parameter)
    environmental_variance: Float[Array, "..."] = eqx.field(converter=parameter)

    def __check_init__(self):
        require_variances("genic_variance", self.genic_variance)
        require_variances("environmental_variance", self.environmental_variance)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(genic_variance=1.1, environmental_variance=0.4)]

    def moments(self, state: Moments) -> Moments:
        require_nonnegative("genic_variance", self.genic_variance)
        return Moments(state.mean, (state.variance + self.genic_variance) / 2)

    def joint(self, state: JointMoments) -> JointMoments:
        M = as_matrix("genic_variance", self.genic_variance, state.mean)
        return JointMoments(state.mean, (state.covariance + M) / 2)

    def density(self, state: Density) -> Density:
        G, columns = len(state.grid), state.density.reshape(len(state.grid), -1)
        # the mean of nodes i and j is node (i + j)/2: every second entry of the convolution
        parents = jnp.stack([jnp.convolve(p, p)[::2] for p in columns.T], axis=1)
        parents = with_density(state, parents.reshape(G, *state.density.shape[1:]))
        return convolved(parents, gaussian_kernel(state, self.genic_variance / 2))

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        mate, segregate = jr.split(key)
        a = jr.permutation(mate, state.values)
        noise = safe_sqrt(self.genic_variance / 2) * jr.normal(segregate, a.shape)
        return Individuals((a + jnp.roll(a, 1, axis=0)) / 2 + noise)

    def seen_by(self, selection: Selection) -> Selection:
        """Return selection of phenotypes, which show breeding values through the environment."""
        return OnPhenotype(selection, self.environmental_variance)

    def balance(self, state: Moments, selection: Selection, mutation: Mutation) -> Moments | None:
        """Balance Gaussian fitness and segregation, without mutation (Bulmer 1971).

        At birth V_A = [V_a - V_s + sqrt((V_a - V_s)^2 + 8 V_a V_s)]/4 with V_s = omega^2 + V_E, and
        after selection V_A V_s/(V_A + V_s). The mean is at the optimum.
        """
        fitness = self.seen_by(selection).gaussian_fitness
        if fitness is None or not mutation.is_absent:
            return None
        theta, V_s = fitness
        V_a = self.genic_variance
        apart = V_a - V_s
        at_birth = (apart + safe_sqrt(apart**2 + 8 * V_a * V_s)) / 4
        return at_optimum(state, theta, at_birth * V_s / (at_birth + V_s))
