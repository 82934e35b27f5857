"""The interface of a form of selection, and the draw of parents."""

from abc import abstractmethod
from typing import Literal

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import real, safe_sqrt, valid_where
from qtm._core.random import choose
from qtm._parts import Part
from qtm.states import Density, Families, Individuals, Moments, State
from qtm.states._columns import by_column
from qtm.states.grid import reweighted

_X = np.linspace(-12.0, 12.0, 8193)  # standard deviations


class Selection(Part):
    """A map from the population before selection to the population after it.

    A form has `moments`, and of the verbs `density`, `individuals` and `joint` those that it has an
    equation for. Of `Families` every form selects within each. A class is either abstract or final.
    """

    @abstractmethod
    def moments(self, state: Moments) -> Moments:
        """Return mean and variance after selection on a Gaussian, entry by entry."""

    def individuals(self, state: Individuals, key: PRNGKeyArray, size: int) -> Individuals:
        """Draw `size` individuals from the selected population."""
        raise self._no_form("Individuals")

    def sampled(self, model: Moments, key: PRNGKeyArray, size: int) -> Individuals:
        """Draw `size` individuals from N(m, V) after selection.

        The population that selection meets is infinite, and by default still Gaussian after it.
        """
        return normal_draws(self.moments(model), key, size)

    def log_weights(self, phenotypes: Density) -> Float[Array, "G ..."]:
        """Return the log fitness of every node of a density of phenotypes.

        Raises ValueError for a form without fitness: it does not determine the density of the
        breeding values behind the phenotypes.
        """
        raise ValueError(
            f"selection must be by fitness for a density of breeding values, got "
            f"{type(self).__name__}."
        )

    def by_phenotype(
        self,
        state: Individuals,
        environmental_variance: Float[Array, "..."],
        key: PRNGKeyArray,
        size: int,
    ) -> Individuals:
        """Draw `size` breeding values a after selection of phenotypes a + e, e ~ N(0, V_E).

        By default from their regression on the selected phenotypes, which is exact for Gaussian
        breeding values.
        """
        express, select, regress = jr.split(key, 3)
        seen = phenotypes(state, environmental_variance, express)
        after = self.individuals(seen, select, size).values
        V_A, V_E, m = state.variance, environmental_variance, state.mean
        h2 = V_A / jnp.where(V_A + V_E > 0, V_A + V_E, 1.0)
        residual = safe_sqrt(h2 * V_E) * jr.normal(regress, after.shape)
        return Individuals(m + h2 * (after - m) + residual)

    @property
    def gaussian_fitness(self) -> tuple[Float[Array, "..."], Float[Array, "..."]] | None:
        """Optimum theta and squared width omega^2 of a Gaussian fitness, None for any other."""
        return None

    def families(self, state: Families) -> Families:
        """Select within every family: V_W* = V*(m, V_W), m* = m*(m, V_W), V_B* = (dm*/dm)^2 V_B.

        Exact where m* is linear in m, as under guidance; else of first order in the deviations of
        families from their mean.
        """

        def act(m: Array) -> tuple[Array, Array]:
            after = self.moments(Moments(m, state.within))
            return after.mean, after.variance

        unit = jnp.ones_like(state.mean)
        m, A, V_W = jax.jvp(act, (state.mean,), (unit,), has_aux=True)
        return Families(m, V_W, jnp.square(A) * state.between)


class FitnessSelection(Selection):
    """Selection by differences in fitness: the one law of a form is its `log_fitness`."""

    @abstractmethod
    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        """Return the log fitness of trait value z in `population`, up to a constant; -inf is death.

        z has shape `[...]` or `[N, ...]` for traits of shape `[...]`, and so has the result.
        """

    def density(self, state: Density) -> Density:
        """Multiply the density by the fitness and scale it to the sum 1."""
        return reweighted(state, self.log_weights(state))

    def log_weights(self, phenotypes: Density) -> Float[Array, "G ..."]:
        """Return the log fitness of every node; ValueError, nan inside `jit`, without survivors."""
        shape = phenotypes.density.shape
        log_w = jnp.broadcast_to(self.log_fitness(phenotypes.nodes, phenotypes), shape)
        alive = jnp.where(phenotypes.density > 0, log_w, -jnp.inf)
        return jnp.where(survivors(alive), log_w, jnp.nan)

    def individuals(self, state: Individuals, key: PRNGKeyArray, size: int) -> Individuals:
        """Draw `size` parents, each with a probability proportional to its fitness."""
        return draw_parents(state, self.log_fitness(state.values, state), key, size)

    def by_phenotype(
        self,
        state: Individuals,
        environmental_variance: Float[Array, "..."],
        key: PRNGKeyArray,
        size: int,
    ) -> Individuals:
        """Draw `size` breeding values, each with a probability proportional to the fitness of its
        phenotype: exact for any distribution."""
        express, select, _ = jr.split(key, 3)
        seen = phenotypes(state, environmental_variance, express)
        return draw_parents(state, self.log_fitness(seen.values, seen), select, size)

    def sampled(self, model: Moments, key: PRNGKeyArray, size: int) -> Individuals:
        """Draw `size` individuals from N(m, V) times the fitness.

        The density of the selected is inverted on a grid of 8193 nodes over 24 standard deviations;
        within a cell it is uniform.
        """
        shape, sd = model.mean.shape, safe_sqrt(model.variance)
        x = _X.reshape(-1, *[1] * len(shape)) * jnp.ones(shape)
        log_p = self.log_fitness(model.mean + sd * x, model) - jnp.square(x) / 2
        C = jnp.cumsum(jax.nn.softmax(log_p, axis=0), axis=0)

        def invert(C: Array, u: Array) -> Array:
            u = u * C[-1]
            i = jnp.clip(jnp.searchsorted(C, u, side="right"), 0, len(C) - 1)
            before = jnp.where(i > 0, C[i - 1], 0.0)
            cell = jnp.where(C[i] > before, C[i] - before, 1.0)
            return jnp.asarray(_X)[i] + ((u - before) / cell - 0.5) * (_X[1] - _X[0])

        drawn = by_column(invert, C, jr.uniform(key, (size, *shape), dtype=jnp.float64))
        return Individuals(jnp.where(survivors(log_p), model.mean + sd * drawn, jnp.nan))


def normal_draws(state: Moments, key: PRNGKeyArray, size: int) -> Individuals:
    """Draw `size` individuals from N(m, V)."""
    noise = jr.normal(key, (size, *state.mean.shape))
    return Individuals(state.mean + safe_sqrt(state.variance) * noise)


def phenotypes(state: Individuals, V_E: Float[Array, "..."], key: PRNGKeyArray) -> Individuals:
    """Draw the phenotypes a + e of breeding values a, with the environment e ~ N(0, V_E)."""
    return Individuals(state.values + safe_sqrt(V_E) * jr.normal(key, state.values.shape))


def survivors(log_fitness: Float[Array, "N ..."]) -> Array:
    """Return whether any individual survives; ValueError if concrete fitnesses leave none."""
    return valid_where(
        "the greatest log fitness",
        jnp.max(log_fitness, axis=0),
        "finite",
        lambda top: abs(top) < jnp.inf,
    )


def draw_parents(
    population: Individuals, log_fitness: Float[Array, "N ..."], key: PRNGKeyArray, size: int
) -> Individuals:
    """Draw `size` parents with replacement, with probabilities softmax(log_fitness).

    Each trailing entry is a separate population with separate parents. Without survivors:
    ValueError, and nan inside `jit`.
    """
    N, *traits = population.values.shape
    log_fitness = jnp.broadcast_to(log_fitness, (N, *traits))
    # relative to the fittest, so log fitnesses of any size neither overflow nor vanish
    weights = jnp.exp(log_fitness - jnp.max(log_fitness, axis=0))
    z, weights = population.values.reshape(N, -1), weights.reshape(N, -1)

    def draw(key: PRNGKeyArray, z: Array, weights: Array) -> Array:
        return z.at[choose(key, weights, size)].get(mode="promise_in_bounds")

    if z.shape[1] == 1:  # vmap over one population would be slower
        drawn = draw(jr.split(key, 1)[0], z[:, 0], weights[:, 0])
    else:
        drawn = jax.vmap(draw, (0, 1, 1), 1)(jr.split(key, z.shape[1]), z, weights)
    drawn = drawn.reshape(size, *traits)
    return Individuals(jnp.where(survivors(log_fitness), drawn, jnp.nan))


def extreme(
    population: State,
    z: ArrayLike,
    side: Literal["upper", "lower"],
    fraction: Array,
    slack: ArrayLike = 1e-9,
) -> Float[Array, "..."]:
    """Return the fraction of those at z that belongs to the extreme `fraction` at a `side`.

    0 or 1, but on a grid, where a threshold cuts a cell, the part of the cell beyond it. Fractions
    of individuals are counts divided by N and carry rounding errors (1 - 0.8 is a little less than
    0.2): `slack` keeps them from adding an individual.
    """
    beyond = population.above(z) if side == "upper" else population.below(z)
    if isinstance(population, Density):
        cell = population.tied(z)
        return jnp.clip((fraction - beyond) / jnp.where(cell > 0, cell, 1e-300), 0, 1)
    limit = fraction * (1 - slack) if isinstance(population, Individuals) else fraction
    return jnp.where(beyond < limit, 1.0, 0.0)


def log_fraction(fraction: Array) -> Array:
    """Compute ln of a fraction, -inf at 0, with finite slopes."""
    some = fraction > 0
    return jnp.where(some, jnp.log(jnp.where(some, fraction, 1.0)), -jnp.inf)


_REACH = 38.0  # standard deviations; beyond it a Gaussian density is 0 in 64 bits
_NODES = 2049


def moments_by_quadrature(selection: FitnessSelection, state: Moments) -> Moments:
    """Compute mean and variance after selection, for fitnesses without a closed form.

    Two sums over even grids of 2049 points: the first over 38 standard deviations on either side
    locates the selected, the second covers 12 of their standard deviations. Accurate to
    rounding where fitness is smooth, of first order in the step, a hundredth of the standard
    deviation of the selected, where it jumps.
    """

    def selected(x: Array) -> tuple[Array, Array, Array]:
        log_w = selection.log_fitness(state.mean + jnp.sqrt(V) * x, state)
        log_p = jnp.broadcast_to(log_w - jnp.square(x) / 2, x.shape)
        alive = survivors(log_p)
        p = jax.nn.softmax(jnp.where(alive, log_p, jnp.nan), axis=0)
        mean = jnp.sum(p * x, axis=0)
        return mean, jnp.sum(p * jnp.square(x - mean), axis=0), p

    spread = state.variance > 0
    V = jnp.where(spread, state.variance, 1.0)
    unit = jnp.linspace(-1, 1, _NODES).reshape(-1, *[1] * V.ndim)
    mean, variance, p = jax.lax.stop_gradient(selected(_REACH * unit * jnp.ones_like(V)))
    bounded = valid_where(
        f"the fraction of the selected {_REACH:g} standard deviations away",
        jnp.maximum(p[0], p[-1]),
        "below 1e-9: fitness grows too fast",
        lambda fraction: fraction < 1e-9,
    )
    width = 12 * jnp.sqrt(variance + (2 * _REACH / (_NODES - 1)) ** 2)
    mean, variance, _ = selected(mean + width * unit)
    mean = state.mean + jnp.where(spread, jnp.sqrt(V) * mean, 0.0 * state.variance)
    # a population without variance stays; the slope in V is that of the limit
    return Moments(
        jnp.where(bounded, mean, jnp.nan),
        jnp.where(bounded, real(state.variance) * variance, jnp.nan),
    )
