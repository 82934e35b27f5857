"""Maximum likelihood: one theory, one trait, one chain.

The images that are measured are those that the next generation learns from, so every generation is
an exact starting point and the likelihood is a product over transitions t -> t + 1. With the
expected families (m_c', V_W') of a theory and the effective share r = N_e/N,

    m_c ~ N(m_c', V_W'/(r n_c)),    s^2 ~ V_W' chi2_{r dof}/(r dof).

r < 1 says that finetuning shakes families more than sampling alone would.
Components of a trait enter as if independent; where they are not, standard errors are too small.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import gammaln
from scipy.optimize import minimize
from scipy.stats import qmc

from analysis.series import Series
from analysis.theories import EFFECTIVE, Families, Parameter, Theory, Values

STARTS = 8
_NOWHERE = 1e12


@dataclass(frozen=True)
class Fit:
    """A fitted theory.

    `values` and `errors` (one standard error, by the curvature of the likelihood; nan where the
    data do not identify the parameter) by name; `log_likelihood` of the `transitions` used;
    `warnings` says what a reader must know before trusting the numbers.
    """

    theory: Theory
    series: Series
    values: dict[str, float]
    errors: dict[str, float]
    log_likelihood: float
    transitions: int
    warnings: tuple[str, ...] = field(default=())

    @property
    def observations(self) -> int:
        """Number of measured family means and variances that entered."""
        _, families, components = self.series.means.shape
        return self.transitions * components * (families + 1)

    @property
    def aicc(self) -> float:
        """Akaike's criterion with the correction for few observations; smaller is better.

        Infinite with too few observations for the parameters. The direction that directional and
        truncation selection take from the data, a sign a component, is not counted.
        """
        k, n = len(self.values), self.observations
        return -2 * self.log_likelihood + 2 * k * n / (n - k - 1) if n > k + 1 else float("inf")


def fit(theory: Theory, series: Series, generations: int | None = None) -> Fit:
    """Fit a theory to the first `generations` generations of a series (all by default).

    Eight quasi-random starting points over the parameters' ranges, then L-BFGS-B with exact
    gradients from each; the best end is kept. Raises ValueError for fewer than one transition.
    """
    last = series.generations if generations is None else generations
    if not 1 <= last <= series.generations:
        raise ValueError(f"generations must be from 1 to {series.generations}, got {last}.")
    parameters = theory.all_parameters(series.restarts)
    data = observed(series, last)
    likelihood = _likelihood(type(theory), series.restarts)
    low, high = np.transpose([(p.to_real(p.low), p.to_real(p.high)) for p in parameters])

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        (f, _), g = likelihood(x, data)
        if not np.isfinite(f) or not np.all(np.isfinite(g)):
            return _NOWHERE, np.zeros_like(x)
        return float(f), np.asarray(g)

    # The corners of the ranges are extreme: start from their middle half.
    unit = qmc.Halton(len(low), rng=np.random.default_rng(0)).random(STARTS)
    starts = low + (0.25 + 0.5 * unit) * (high - low)
    bounds = list(zip(low, high, strict=True))
    ends = [minimize(loss, x, jac=True, method="L-BFGS-B", bounds=bounds) for x in starts]
    best = min(ends, key=lambda end: end.fun)
    margin = 1e-3 * (high - low)
    stuck = (best.x - low < margin) | (high - best.x < margin)
    errors = _standard_errors(lambda x: loss(x)[1], best.x, stuck, parameters)
    return Fit(
        theory,
        series,
        {p.name: float(p.from_real(at)) for p, at in zip(parameters, best.x, strict=True)},
        errors,
        -float(best.fun),
        last,
        _warnings(best.fun, best.x - low < margin, stuck, errors, parameters),
    )


def _warnings(
    loss: float,
    low: np.ndarray,
    stuck: np.ndarray,
    errors: dict[str, float],
    parameters: tuple[Parameter, ...],
) -> tuple[str, ...]:
    said = []
    if loss >= _NOWHERE:
        said.append("the likelihood is finite nowhere")
    for p, is_low, is_stuck in zip(parameters, low, stuck, strict=True):
        if is_stuck and not is_low and p.name == EFFECTIVE.name:
            continue  # drift is that of sampling: how it should be, not a failure to fit
        if is_stuck:
            bound = f"lower bound {p.low:g}" if is_low else f"upper bound {p.high:g}"
            said.append(f"{p.name} is at its {bound}")
        elif np.isnan(errors[p.name]):
            said.append(f"{p.name} is not identified")
    return tuple(said)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Observed:
    """A series as arrays for JAX, with `used` [G] = 1 for transitions that a fit may see, else 0.

    `direction` [D]: +1 or -1, where the mean of each component went in the generations used.

    Components are filled up to a power of two, at least 8, with copies of the first that have no
    weight: every trait of a chain then runs through the same compiled likelihood.
    """

    means: Array
    within: Array
    dof: Array
    sizes: Array
    direction: Array
    used: Array
    weight: Array


def observed(series: Series, last: int) -> Observed:
    """Return a series of which a fit may see the first `last` transitions."""
    components = series.means.shape[2]
    width = max(8, 2 ** math.ceil(math.log2(components)))
    index = np.arange(width) * (np.arange(width) < components)
    shift = np.average(series.means[last] - series.means[0], axis=0, weights=series.sizes)
    return Observed(
        jnp.asarray(series.means[..., index]),
        jnp.asarray(series.within[:, index]),
        jnp.asarray(series.dof[:, index]),
        jnp.asarray(series.sizes, jnp.float64),
        jnp.where(jnp.asarray(shift[index]) < 0, -1.0, 1.0),
        jnp.where(jnp.arange(series.generations) < last, 1.0, 0.0),
        jnp.where(jnp.arange(width) < components, 1.0, 0.0),
    )


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Transitions:
    """For every transition: the log density of what was measured [G], and what was expected:
    family means [G, C, D] and within-family variance [G, D]."""

    log_density: Array
    means: Array
    within: Array


def transitions(fitted: Fit) -> Transitions:
    """Return what a fitted theory expects of every generation from the one before it, and the log
    density it gave to what came, also for generations that the fit did not see."""
    parameters = fitted.theory.all_parameters(fitted.series.restarts)
    x = np.array([p.to_real(fitted.values[p.name]) for p in parameters])
    likelihood = _likelihood(type(fitted.theory), fitted.series.restarts)
    (_, found), _ = likelihood(x, observed(fitted.series, fitted.transitions))
    components = fitted.series.means.shape[2]
    return Transitions(
        found.log_density, found.means[..., :components], found.within[..., :components]
    )


@cache
def _likelihood(theory: type[Theory], restarts: bool):
    """Return the negative log-likelihood with the transitions, and its gradient, compiled."""
    parameters = theory().all_parameters(restarts)

    def loss(x: Array, data: Observed) -> tuple[Array, Transitions]:
        values = {p.name: p.from_real(x[i]) for i, p in enumerate(parameters)}
        share = values["effective_share"]
        # What is learnt from is the images themselves: their variance has ddof = 0.
        population = _population_variance(data, data.within)
        within = data.within if theory.as_measured else population
        base = Families(data.means[0], population[0])

        def transition(t: Array) -> Transitions:
            parents = Families(data.means[t], within[t])
            expected = theory().produce(values, parents, base, restarts, data.direction)
            spread = expected.within / (share * data.sizes[:, None])
            of_means = _normal(data.means[t + 1], expected.means, spread)
            of_variance = _log_chi_squared(
                data.within[t + 1], expected.within, share * data.dof[t + 1]
            )
            density = (data.weight * (of_means.sum(axis=0) + of_variance)).sum()
            return Transitions(density, expected.means, expected.within)

        found = jax.vmap(transition)(jnp.arange(len(data.used)))
        return -(data.used * found.log_density).sum(), found

    return jax.jit(jax.value_and_grad(loss, has_aux=True))


def _log_chi_squared(measured: Array, variance: Array, dof: Array) -> Array:
    """Log density of ln s^2 where s^2 = variance * chi2_dof/dof."""
    v, y = dof / 2, jnp.log(measured / variance)
    return v * jnp.log(v) - gammaln(v) + v * (y - jnp.exp(y))


def _normal(z: Array, mean: Array, variance: Array) -> Array:
    return -0.5 * (jnp.log(2 * jnp.pi * variance) + jnp.square(z - mean) / variance)


def _standard_errors(
    gradient: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    stuck: np.ndarray,
    parameters: tuple[Parameter, ...],
) -> dict[str, float]:
    """Invert the curvature of the likelihood among the parameters that are not at a bound.

    The curvature is a central difference of exact gradients. Standard errors are carried to the
    parameters' units; what lies along a flat direction, or at a bound, gets nan.
    """
    free = np.flatnonzero(~stuck)
    errors = {p.name: float("nan") for p in parameters}
    if not len(free):
        return errors
    step = 1e-4
    nudges = step * np.eye(len(x))[free]
    hessian = np.array([gradient(x + e) - gradient(x - e) for e in nudges])[:, free] / (2 * step)
    scales, axes = np.linalg.eigh((hessian + hessian.T) / 2)
    flat = scales <= 1e-6 * max(scales.max(), 1e-300)
    variance = np.square(axes) @ np.where(flat, 0, 1 / np.where(flat, 1, scales))
    lost = np.square(axes[:, flat]).sum(axis=1) > 1e-3
    for i, v, gone in zip(free, variance, lost, strict=True):
        p = parameters[i]
        ends = p.from_real(x[i] + step), p.from_real(x[i] - step)
        slope = (float(ends[0]) - float(ends[1])) / (2 * step)
        errors[p.name] = float("nan") if gone else abs(slope) * float(np.sqrt(v))
    return errors


def trajectory(fitted: Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run the fitted theory freely from generation 0 on, without random drift.

    Returns the mean [G + 1, D], the within-family variance [G + 1, D] and the variance of family
    means [G + 1, D] that would be measured, which holds V_W/(r n_c) of drift. Feature units.
    """
    s = fitted.series
    data = observed(s, fitted.transitions)
    run = _free_run(type(fitted.theory), s.restarts, s.generations)
    values = {name: jnp.asarray(v) for name, v in fitted.values.items()}
    components = s.means.shape[2]
    means, within = (np.array(a)[..., :components] for a in run(values, data))
    mean, within, between = _in_feature_units(fitted, means, within)
    between[0] = s.scale**2 * s.between[0]  # measured: its drift is in it
    return mean, within, between


def one_step(fitted: Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what the fitted theory expects of generations 1 to G, each from the one before it.

    Mean, within-family variance and variance of family means [G, D], as `trajectory` gives them.
    """
    found = transitions(fitted)
    return _in_feature_units(fitted, np.asarray(found.means), np.asarray(found.within))


def _in_feature_units(
    fitted: Fit, means: np.ndarray, within: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    s = fitted.series
    drift = within * np.mean(1 / s.sizes) / fitted.values["effective_share"]
    return (
        s.centre + s.scale * np.average(means, axis=1, weights=s.sizes),
        s.scale**2 * within,
        s.scale**2 * (means.var(axis=1, ddof=1) + drift),
    )


@cache
def _free_run(theory: type[Theory], restarts: bool, generations: int):
    """Return the compiled free run: values and data to means [G + 1, C, D], V_W [G + 1, D]."""

    def run(values: Values, data: Observed) -> tuple[Array, Array]:
        base = Families(data.means[0], _population_variance(data, data.within[0]))

        def produce(parents: Families, _: None) -> tuple[Families, Families]:
            expected = theory().produce(values, parents, base, restarts, data.direction)
            sampled = Families(expected.means, _population_variance(data, expected.within))
            return sampled, expected

        _, later = lax.scan(produce, base, length=generations)
        means = jnp.concatenate([data.means[:1], later.means])
        return means, jnp.concatenate([data.within[:1], later.within])

    return jax.jit(run)


def _population_variance(data: Observed, within: Array) -> Array:
    """Turn a within-family variance with ddof = 1 into that of the very images: ddof = 0."""
    n = data.sizes.sum()
    return within * (n - len(data.sizes)) / n
