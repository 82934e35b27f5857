"""A Gaussian that is fitted to its own samples, again and again."""

from typing import Self

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import (
    parameter,
    require,
    require_integer,
    require_nonnegative,
    require_share,
    safe_sqrt,
)
from qtm._parts import Part, sample
from qtm.inheritance._base import Inheritance
from qtm.selection import Selection
from qtm.states import Density, Individuals, JointMoments, Moments, Population
from qtm.states.density import resolved, with_density


class Refit(Inheritance):
    """The model is the Gaussian fitted to its training set: V^ = lambda n/(n - ddof) s^2.

    s^2 is the variance of the training set with divisor n, the number of its images, which is
    infinite without a size. `ddof` = 0 is maximum likelihood, 1 the unbiased variance.

    `bias` is lambda: how much of the variance sampling keeps, below 1 where images are chosen for
    quality (a lower temperature); E[V'] = lambda V with ddof = 1. The training set is

    - the latest N images, by default,
    - with `accumulate`, the images of all generations so far, generation 0 included, with their
      pooled mean and variance and n = t N where generation t is produced,
    - with `inflow` a, N images of which the share a is drawn afresh from `fresh`, the real data (a
      `Moments`, feature units). With both, the pool grows by such mixtures.

    The population that evolves is the training set, recorded with divisor n. For individuals under
    `accumulate` it stands as N values with the mean and variance of the pool, the latest images
    moved and stretched, for nothing else of it is seen by a refit. Selection acts on the model, so
    individuals are drawn from the model as selected and not from earlier draws.

    Expected variance without selection, ddof = 0: latest images, V_0 (1 - 1/N)^t; accumulation,
    V_0 prod_j (1 - 1/(N j^2)), over j from 1 for a generation 0 of N images of variance V_0, which
    falls to V_0 sin(pi/sqrt N)/(pi/sqrt N) and no further; inflow, c a V_0/(1 - c (1 - a)) at
    equilibrium, c = 1 - 1/(N (2 - a)). Without a key, `Moments` take expectations one generation at
    a time, which leaves out that means wander: the inflow then ends at c = 1 - 1/N.

    Raises ValueError if ddof is no whole number of at least 0, the bias negative, the inflow not in
    [0, 1] or without `fresh`; in a life cycle, if N is not greater than ddof, or N = 1 individuals
    accumulate, which have no variance to stretch.

    Source: Shumailov et al. (2024), Nature 631:755-759; Alemohammad et al., arXiv 2307.01850, on
    bias and inflow; Gerstgrasser et al., arXiv 2404.01413, on accumulation.
    """

    ddof: int = eqx.field(default=0, static=True)
    bias: Float[Array, "..."] = eqx.field(default=1.0, converter=parameter)
    accumulate: bool = eqx.field(default=False, static=True)
    inflow: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    fresh: Moments | None = None

    def __check_init__(self):
        require_integer("ddof", self.ddof, least=0)
        require_nonnegative("bias", self.bias)
        require_share("inflow", self.inflow)
        if self.fresh is None:
            zero = "0 without fresh, the distribution of real data"
            require("inflow", self.inflow, zero, lambda a: a == 0)

    @classmethod
    def examples(cls) -> list[Self]:
        return [cls(), cls(bias=0.8)]

    @property
    def depends_on_generation(self) -> bool:
        return self.accumulate

    def moments(self, state: Moments) -> Moments:
        return _Fit(self, None, 1).moments(state)

    def density(self, state: Density) -> Density:
        return _Fit(self, None, 1).density(state)

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        model = _Fit(self, None, 1).model(_moments(state), state.size)
        noise = jr.normal(key, state.values.shape)
        return Individuals(model.mean + safe_sqrt(model.variance) * noise)

    def fitted(self, size: int | None, generation: ArrayLike) -> Part:
        return _Fit(self, size, generation)

    def training_set(self, before: Population, size: int | None, generation: ArrayLike) -> Part:
        return _TrainingSet(self, before, size, generation)


class _Model(eqx.Module):
    """A Gaussian that individuals are drawn from, after selection: infinitely many stand for it."""

    gaussian: Moments

    def after(self, part: Selection, key: PRNGKeyArray, size: int) -> Individuals:
        return part.sampled(self.gaussian, key, size)


class _Fit(Part):
    """The model of generation t, fitted to what generations up to t - 1 left."""

    refit: Refit
    size: int | None
    generation: ArrayLike

    def moments(self, state: Moments) -> Moments:
        return self.model(state, self.size)

    def density(self, state: Density) -> Density:
        x = self.model(_moments(state), self.size).standardize(state.nodes)
        return resolved(with_density(state, jnp.exp(-jnp.square(x) / 2)))

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> _Model:  # pyright: ignore
        return _Model(self.model(_moments(state), state.size))

    def joint(self, state: JointMoments) -> JointMoments:
        return self.refit.joint(state)

    def model(self, state: Moments, N: int | None) -> Moments:
        ddof = self.refit.ddof
        if N is not None and ddof >= N:
            raise ValueError(f"size must be greater than ddof = {ddof}, got {N}.")
        sets = jnp.asarray(self.generation) if self.refit.accumulate else 1
        scale = 1.0 if N is None else sets * N / (sets * N - ddof)
        return Moments(state.mean, self.refit.bias * scale * state.variance)


class _TrainingSet(Part):
    """The training set after generation t: N images of its model, fresh ones, and earlier ones."""

    refit: Refit
    before: Population
    size: int | None
    generation: ArrayLike

    def moments(self, state: Moments, key: PRNGKeyArray | None = None) -> Moments:
        a, N = self.refit.inflow, self.size
        fresh = state if self.refit.fresh is None else self.refit.fresh
        if key is None or N is None:
            noise = (
                jnp.zeros(()) if N is None else ((1 - a) * state.variance + a * fresh.variance) / N
            )
            batch = _mixture(state, fresh, a)
            batch = Moments(batch.mean, batch.variance - noise)
        else:
            of_model, of_fresh = jr.split(key)
            noise = jnp.zeros(())
            batch = sample(state, (1 - a) * N, of_model)
            if self.refit.fresh is not None:
                batch = _mixture(batch, sample(fresh, a * N, of_fresh), a)
        if not self.refit.accumulate:
            return batch
        f = 1 / (1 + jnp.asarray(self.generation))
        pool = _mixture(_moments(self.before), batch, f)
        return Moments(pool.mean, pool.variance + f * (1 - f) * noise)

    def density(self, state: Density) -> Density:
        fresh, p = self.refit.fresh, state.density
        if fresh is None and not self.refit.accumulate:
            return state
        if fresh is not None:
            m, V = jnp.broadcast_arrays(fresh.mean, fresh.variance, jnp.zeros(p.shape[1:]))[:2]
            low, high, points = state.grid[0], state.grid[-1], len(state.grid)
            drawn = Density.normal(m, V, low, high, points).density
            p = (1 - self.refit.inflow) * p + self.refit.inflow * drawn
        if self.refit.accumulate:
            f = 1 / (1 + jnp.asarray(self.generation))
            p = (1 - f) * self.before.density + f * p  # pyright: ignore
        return resolved(with_density(state, p))

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        z, N = state.values, state.size
        fresh = self.refit.fresh
        if fresh is not None:
            drawn = Individuals.normal(key, fresh.mean, fresh.variance, N).values
            place = jnp.arange(N).reshape(-1, *[1] * (z.ndim - 1))
            z = jnp.where(place < jnp.round(self.refit.inflow * N), drawn, z)
        if not self.refit.accumulate:
            return Individuals(z)
        require_integer("size of individuals that accumulate", N, least=2)
        batch = Moments(jnp.mean(z, axis=0), jnp.var(z, axis=0))
        f = 1 / (1 + jnp.asarray(self.generation))
        pool = _mixture(_moments(self.before), batch, f)
        return Individuals(pool.mean + safe_sqrt(pool.variance) * batch.standardize(z))


def _moments(state: Population) -> Moments:
    return Moments(state.mean, state.variance)


def _mixture(a: Moments, b: Moments, share: Array) -> Moments:
    """Moments of a population of which the `share` is b and the rest a."""
    return Moments(
        (1 - share) * a.mean + share * b.mean,
        (1 - share) * a.variance
        + share * b.variance
        + share * (1 - share) * jnp.square(a.mean - b.mean),
    )
