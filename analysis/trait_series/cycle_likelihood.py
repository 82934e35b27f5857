"""The joint likelihood of means and variances of a trait series under a life cycle.

A sample of n individuals from N(m, V) has a mean and a variance s^2 (ddof = 1), independent:

    mean ~ N(m, V/n),    s^2 ~ V chi2_k / k,    k = n - 1.

Without drift, m and V of every generation follow from the parameters, and the likelihood is exact
for normal traits. With drift among N individuals they are a latent path: after selection and
mutation

    m' = m* + sqrt(V*/N) e,    V' = V* chi2_{N-1} / N,

as `qtm.LifeCycle` draws them. The path is filtered in (m, ln V), linearised from one generation to
the next (an extended Kalman filter). The filter predicts a mean and a variance of ln s^2, whose
density is taken as that of a scaled chi2 with these two moments, exact in the limit of no drift.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import digamma, gammaln, polygamma
from jax.scipy.stats import norm
from jaxtyping import Array, Float, Int

import qtm
from analysis.models import values_of
from analysis.trait_series.cycles import POPULATION_SIZE, CycleModel, Scale, Values
from analysis.trait_series.series import TraitSeries
from empirical.errors import UserError

# Life cycles are stepped generation by generation: fossil ages in years are not generations.
MOST_GENERATIONS = 20_000


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Samples:
    """A series on the axis of generations [T], T = G + 1, 0 where a generation was not sampled.

    `mean`, `log_variance` and `n` are those of the samples; `measured` [T, 2] is 1 where a
    mean, or a variance, was measured, else 0; `seen` [T] is 1 for samples that a fit may see.
    """

    mean: Float[Array, " T"]
    log_variance: Float[Array, " T"]
    n: Float[Array, " T"]
    measured: Float[Array, "T 2"]
    seen: Float[Array, " T"]

    @classmethod
    def from_series(cls, s: TraitSeries, seen: int | None = None) -> "Samples":
        """Lay out a series of which a fit may see the first `seen` samples (all by default).

        Raises `UserError` as `generations_of` does.
        """
        generations = generations_of(s)
        empty = np.zeros(generations[-1] + 1)
        mean, log_variance, n = empty.copy(), empty.copy(), np.full_like(empty, 2.0)
        measured, before = np.zeros((len(empty), 2)), empty.copy()
        varies = ~s.lone
        mean[generations], n[generations], measured[generations, 0], before[generations[:seen]] = (
            s.mean,
            s.n,
            1.0,
            1.0,
        )
        log_variance[generations[varies]], measured[generations[varies], 1] = (
            np.log(s.variance[varies]),
            1.0,
        )
        return cls(*map(jnp.asarray, (mean, log_variance, n, measured, before)))

    @property
    def observations(self) -> int:
        """Number of means and variances that a fit may see."""
        return int((self.measured * self.seen[:, None]).sum())

    @property
    def generations(self) -> int:
        """G."""
        return self.mean.shape[0] - 1

    @property
    def freedom(self) -> Float[Array, " T"]:
        """Degrees of freedom of the sample variances [T], at least 1."""
        return jnp.maximum(self.n - 1, 1.0)


def generations_of(s: TraitSeries) -> Int[np.ndarray, " T"]:
    """Return the times [T] of a series as whole generations since the first.

    Raises `UserError` for times that are not whole, or too many of them.
    """
    since = s.time - s.time[0]
    generations = np.round(since).astype(int)
    if np.any(np.abs(since - generations) > 1e-9 * np.maximum(np.abs(s.time), 1)):
        odd = s.time[np.argmax(np.abs(since - generations))]
        raise UserError(
            f"life cycles need times in whole generations, a time of the series is {odd:g} after a "
            f"start of {s.time[0]:g}"
        )
    if generations[-1] > MOST_GENERATIONS:
        raise UserError(
            f"life cycles are stepped generation by generation, at most {MOST_GENERATIONS:,}, the "
            f"series spans {generations[-1]:,}"
        )
    return generations


def start_of(values: Values) -> qtm.Moments:
    """Return the population at the first time."""
    return qtm.Moments(values["start_mean"], values["start_variance"])


class Explained(NamedTuple):
    """A life cycle's explanation of a series.

    `density` [T, 2], T = G + 1, holds the log densities of each sample's mean and ln s^2, 0 where
    there is none, given the seen samples before it (for a mean, also the variance of the same
    sample); `path` [T, 2] is the expected (m, ln V) of each generation given the seen samples up to
    it, `covariance` [T, 2, 2] its uncertainty due to drift.
    """

    density: Float[Array, "T 2"]
    path: Float[Array, "T 2"]
    covariance: Float[Array, "T 2 2"]


def explain(model: CycleModel, values: Values, data: Samples) -> Explained:
    """Run a population through its life cycle and compare it with a series."""
    if POPULATION_SIZE.name in values:
        return _filtered(model, values, data)
    path = qtm.evolve(model.cycle(values), start_of(values), data.generations)
    of_mean = norm.logpdf(data.mean, path.mean, jnp.sqrt(path.variance / data.n))
    log_V = jnp.log(path.variance)
    of_variance = log_chi2_density(data.log_variance - log_V, data.freedom)
    density = jnp.where(data.measured > 0, jnp.stack([of_mean, of_variance], axis=-1), 0.0)
    states = jnp.stack([path.mean, log_V], axis=-1)
    return Explained(density, states, jnp.zeros((*states.shape, 2)))


def log_chi2_density(
    y: Float[Array, "*shape"], k: Float[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Return the log density of y = ln(chi2_k/k)."""
    return k / 2 * (jnp.log(k / 2) + y - jnp.exp(y)) - gammaln(k / 2)


def _filtered(model: CycleModel, values: Values, data: Samples) -> Explained:
    cycle, N = model.cycle(values), values[POPULATION_SIZE.name]

    def step(state: Array, t: Array) -> Array:
        after = cycle.step(qtm.Moments(state[0], jnp.exp(state[1])), None, t)
        return jnp.stack([after.mean, jnp.log(after.variance)])

    # Mean and variance of ln(chi2_{N-1}/N).
    shift, jitter = digamma((N - 1) / 2) + jnp.log(2 / N), polygamma(1, (N - 1) / 2)

    def generation(before: tuple[Array, Array], inputs: Any) -> tuple[tuple[Array, Array], Any]:
        (state, P), (t, sample) = before, inputs
        J = jax.jacfwd(step)(state, t)
        state = step(state, t)
        P = J @ P @ J.T + jnp.diag(jnp.stack([jnp.exp(state[1]) / N, jitter]))
        density, state, P = _updated(state.at[1].add(shift), P, *sample)
        return (state, P), Explained(density, state, P)

    used = data.measured * data.seen[:, None]
    samples = data.mean, data.log_variance, data.n, data.freedom, used
    start = start_of(values)
    first = jnp.stack([start.mean, jnp.log(start.variance)])
    begin = Explained(*_updated(first, jnp.zeros((2, 2)), *(x[0] for x in samples)))
    t = jnp.arange(1, data.generations + 1)
    _, later = lax.scan(generation, begin[1:], (t, tuple(x[1:] for x in samples)))
    explained = Explained(
        *(jnp.concatenate([a[None], b]) for a, b in zip(begin, later, strict=True))
    )
    return explained._replace(density=jnp.where(data.measured > 0, explained.density, 0.0))


def _updated(
    state: Array, P: Array, mean: Array, log_variance: Array, n: Array, k: Array, used: Array
) -> Explained:
    """Return the log densities of a sample [2], and the path and its covariance after it."""
    # First ln s^2, which is most informative about V ...
    noise = polygamma(1, k / 2)
    offset = digamma(k / 2) - jnp.log(k / 2)
    S = P[1, 1] + noise
    K = 2 * inverse_trigamma(S)
    centre = state[1] + offset - (digamma(K / 2) - jnp.log(K / 2))
    of_variance = log_chi2_density(log_variance - centre, K)
    gain = used[1] * P[:, 1] / S
    state = state + gain * (log_variance - state[1] - offset)
    P = P - jnp.outer(gain, P[1])
    # ... then the mean, whose error depends on V.
    S = P[0, 0] + jnp.exp(state[1]) / n
    of_mean = norm.logpdf(mean, state[0], jnp.sqrt(S))
    gain = used[0] * P[:, 0] / S
    state = state + gain * (mean - state[0])
    P = P - jnp.outer(gain, P[0])
    return Explained(jnp.stack([of_mean, of_variance]), state, (P + P.T) / 2)


def inverse_trigamma(y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return x with trigamma(x) = y > 0, by Newton's method on 1/trigamma.

    Monotone from 1/2 + 1/y (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3, appendix). Six steps
    reach all digits for y below 10; the slope of the inverse is exact at any number of steps.
    """

    @jax.custom_jvp
    def inverse(y: Array) -> Array:
        x = 0.5 + 1 / y
        for _ in range(6):
            trigamma = polygamma(1, x)
            x = x + trigamma * (1 - trigamma / y) / polygamma(2, x)
        return x

    @inverse.defjvp
    def _slope(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
        x = inverse(primals[0])
        return x, tangents[0] / polygamma(2, x)

    return inverse(y)


@cache
def compiled(model: CycleModel, size: float | None) -> dict[str, Any]:
    """Return the compiled functions of a form, shared by all series of one length.

    `size` is the population size: infinite, a number, or None where it is a parameter. Functions of
    a vector x on the scale of the search and of `Samples`: ``loss``, the negative log likelihood of
    seen samples with its gradient; ``explain``, the explanations of the series at points [n, k]
    (`Explained`, with a leading axis n).
    """
    # Only names and domains matter here, which do not depend on units.
    parameters = model.parameters(Scale(0.0, 1.0, 1.0, 0.0, 1.0, 1.0), size is None)

    def explained(x: Array, data: Samples) -> Explained:
        values = values_of(parameters, x)
        if size is not None and np.isfinite(size):
            values[POPULATION_SIZE.name] = jnp.asarray(float(size))
        return explain(model, values, data)

    def total(x: Array, data: Samples) -> Array:
        return (explained(x, data).density * data.seen[:, None]).sum()

    return {
        "loss": jax.jit(jax.value_and_grad(lambda x, data: -total(x, data))),
        "explain": jax.jit(jax.vmap(explained, (0, None))),
    }
