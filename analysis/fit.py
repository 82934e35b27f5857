"""Maximum likelihood: one theory, one trait, one chain.

The images that are measured are those that the next generation learns from, so every generation is
an exact starting point and the likelihood is a product over transitions t -> t + 1. With the
expected families (m_c', V_W') of a theory and the effective share r = N_e/N,

    m_c ~ N(m_c', V_W'/(r n_c)),    ln s^2 ~ N(ln V_W' + psi(v) - ln v, psi_1(v)),  v = r dof/2,

psi and psi_1 the digamma and trigamma functions: mean and variance of the logarithm of a
chi-squared variance. r < 1 says that finetuning shakes families more than sampling alone would.
Components of a trait enter as if independent; where they are not, standard errors are too small.
"""

from dataclasses import dataclass, field
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.scipy.special import digamma, polygamma
from scipy.optimize import minimize
from scipy.stats import qmc

from analysis.series import Series
from analysis.theories import Families, Parameter, Theory, Values

STARTS = 8


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
        """Akaike's criterion with the correction for few observations; smaller is better."""
        k, n = len(self.values), self.observations
        return -2 * self.log_likelihood + 2 * k * n / max(n - k - 1, 1e-9)


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
    value, gradient, curvature = _objective(type(theory), series.restarts)
    bounds = [(p.to_real(p.low), p.to_real(p.high)) for p in parameters]
    low, high = np.transpose(bounds)
    # The corners of the ranges are extreme: start from their middle half.
    unit = qmc.Halton(len(bounds), rng=np.random.default_rng(0)).random(STARTS)
    starts = low + (0.25 + 0.5 * unit) * (high - low)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = gradient(x, data)
        if not np.isfinite(f) or not np.all(np.isfinite(g)):
            return 1e12, np.zeros_like(x)
        return float(f), np.asarray(g)

    ends = [minimize(loss, x, jac=True, method="L-BFGS-B", bounds=bounds) for x in starts]
    best = min(ends, key=lambda end: end.fun)
    x = best.x
    warnings = []
    if best.fun >= 1e12:
        warnings.append("the likelihood is not finite anywhere it was looked for")
    near = 1e-3 * (high - low)
    for p, at, a, b, margin in zip(parameters, x, low, high, near, strict=True):
        if at - a < margin or b - at < margin:
            warnings.append(f"{p.name} is at the bound of its range ({p.low:g} to {p.high:g})")
    errors, identified = _standard_errors(np.asarray(curvature(x, data)), x, parameters)
    if not identified:
        warnings.append("the data do not identify all parameters")
    return Fit(
        theory,
        series,
        {p.name: float(p.from_real(at)) for p, at in zip(parameters, x, strict=True)},
        errors,
        -float(value(x, data)),
        last,
        tuple(warnings),
    )


@dataclass(frozen=True)
class Observed:
    """Parents [T, ...], offspring [T, ...] and generation 0 of a series, as arrays for JAX."""

    means: Array
    within: Array
    dof: Array
    sizes: Array
    direction: Array


jax.tree_util.register_dataclass(
    Observed, data_fields=["means", "within", "dof", "sizes", "direction"], meta_fields=[]
)


def observed(series: Series, last: int) -> Observed:
    """Return the first `last` transitions; the direction of each component is taken from them."""
    shift = series.means[last].mean(axis=0) - series.means[0].mean(axis=0)
    return Observed(
        jnp.asarray(series.means[: last + 1]),
        jnp.asarray(series.within[: last + 1]),
        jnp.asarray(series.dof[: last + 1]),
        jnp.asarray(series.sizes, jnp.float64),
        jnp.where(jnp.asarray(shift) < 0, -1.0, 1.0),
    )


def log_likelihoods(theory: Theory, restarts: bool, x: Array, data: Observed) -> Array:
    """Return the log-likelihood of every transition [T], at x on the scale of the search."""
    parameters = theory.all_parameters(restarts)
    values = {p.name: p.from_real(x[i]) for i, p in enumerate(parameters)}
    share = values["effective_share"]
    within = _population_variance(data, data.within)
    base = Families(data.means[0], within[0])

    def transition(t: Array) -> Array:
        expected = theory.produce(
            values, Families(data.means[t], within[t]), base, restarts, data.direction
        )
        spread = expected.within / (share * data.sizes[:, None])
        of_means = _normal(data.means[t + 1], expected.means, spread)
        v = share * data.dof[t + 1] / 2
        centre = jnp.log(expected.within) + digamma(v) - jnp.log(v)
        of_variance = _normal(jnp.log(data.within[t + 1]), centre, polygamma(1, v))
        return of_means.sum() + of_variance.sum()

    return jax.vmap(transition)(jnp.arange(len(data.means) - 1))


def _normal(z: Array, mean: Array, variance: Array) -> Array:
    return -0.5 * (jnp.log(2 * jnp.pi * variance) + jnp.square(z - mean) / variance)


@cache
def _objective(theory: type[Theory], restarts: bool):
    """Return the negative log-likelihood, its gradient and its Hessian, compiled once a theory."""

    def loss(x: Array, data: Observed) -> Array:
        return -log_likelihoods(theory(), restarts, x, data).sum()

    return jax.jit(loss), jax.jit(jax.value_and_grad(loss)), jax.jit(jax.hessian(loss))


def _standard_errors(
    hessian: np.ndarray, x: np.ndarray, parameters: tuple[Parameter, ...]
) -> tuple[dict[str, float], bool]:
    """Invert the curvature where it is one, and carry it to the parameters' units."""
    if not np.all(np.isfinite(hessian)):
        return {p.name: float("nan") for p in parameters}, False
    scales, axes = np.linalg.eigh((hessian + hessian.T) / 2)
    flat = scales <= 1e-6 * max(scales.max(), 1e-300)
    inverse = np.where(flat, 0, 1 / np.where(flat, 1, scales))
    variance = np.square(axes) @ inverse
    # A parameter that lies along a flat direction is not known at all.
    lost = np.square(axes[:, flat]).sum(axis=1) > 1e-3
    slopes = [float(jax.grad(p.from_real)(jnp.asarray(at))) for p, at in zip(parameters, x, strict=True)]
    errors = {
        p.name: float("nan") if gone else abs(slope) * float(np.sqrt(v))
        for p, slope, v, gone in zip(parameters, slopes, variance, lost, strict=True)
    }
    return errors, not lost.any()


def trajectory(fitted: Fit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Run the fitted theory freely from generation 0 on, without random drift.

    Returns the mean [G + 1, D], the within-family variance [G + 1, D] and the variance of family
    means [G + 1, D] that would be measured, which holds V_W/n_c of sampling error. Feature units.
    """
    s = fitted.series
    data = observed(s, fitted.transitions)
    run = _free_run(type(fitted.theory), s.restarts, s.generations)
    values = {name: jnp.asarray(v) for name, v in fitted.values.items()}
    means, within = (np.array(a) for a in run(values, data))
    between = means.var(axis=1, ddof=1)
    between[1:] += within[1:] * np.mean(1 / s.sizes)
    return s.centre + s.scale * means.mean(axis=1), within * s.scale**2, between * s.scale**2


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
