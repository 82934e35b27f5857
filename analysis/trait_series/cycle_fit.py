"""Fits of life cycles to a trait series: maximum likelihood, posterior, predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import OptimizeResult, minimize
from scipy.special import logsumexp
from scipy.stats import qmc

from analysis._threads import one_thread
from analysis.inference import importance
from analysis.models import Parameter, priors
from analysis.trait_series.cycle_likelihood import Explained, Samples, compiled
from analysis.trait_series.cycles import CycleModel, Scale, cycle_models
from analysis.trait_series.series import TraitSeries
from empirical.errors import UserError
from qtm.progress import Progress, no_progress

LEVEL = importance.LEVEL
_STARTS = 6
_NOWHERE = 1e12
_STEP = 1e-4
_MARGIN = 1e-6
# Generations times points of a block: some 300 MB.
_STATES = 2_000_000


@dataclass(frozen=True)
class CycleFit:
    """A life cycle at its maximum likelihood (or posterior mode).

    `x` [k] and `covariance` [k, k] are on the scale of the search; `at_bound` [k] marks parameters
    at an end of their range.
    """

    model: CycleModel
    size: float | None
    data: Samples
    parameters: tuple[Parameter, ...]
    x: Float[np.ndarray, " k"]
    covariance: Float[np.ndarray, "k k"]
    log_likelihood: float
    at_bound: Bool[np.ndarray, " k"]

    @property
    def values(self) -> dict[str, float]:
        """Estimates by name, in the parameters' units."""
        return {p.name: float(p.from_real(self.x[i])) for i, p in self.indexed_parameters()}

    def indexed_parameters(self) -> list[tuple[int, Parameter]]:
        """Return the parameters with their index in `x`."""
        return list(enumerate(self.parameters))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on parameters at an end of their range."""
        messages = []
        for i, p in self.indexed_parameters():
            if self.at_bound[i]:
                is_low = abs(self.x[i] - p.to_real(p.low)) < abs(self.x[i] - p.to_real(p.high))
                bound = f"lower bound {p.low:.3g}" if is_low else f"upper bound {p.high:.3g}"
                messages.append(f"{p.name} is at its {bound}")
        return tuple(messages)

    @cached_property
    def draws(self) -> importance.Draws:
        """Draws from the posterior, with the weak priors of the parameters."""
        mode = maximize(self.model, self.data, self.parameters, self.size, [self.x], prior=1.0)
        seen = np.flatnonzero(np.asarray(self.data.seen))

        # In units of the priors, so that a trait in metres has the intervals of one in microns.
        _, _, typical, spread = priors(self.parameters)

        def log_posterior(z: np.ndarray) -> np.ndarray:
            x = typical + spread * z
            return self.explain(x, seen).density.sum(axis=(1, 2)) + self._log_prior(x)

        width = np.asarray([p.prior_std for p in self.parameters]) / spread
        z, k_hat, effective = importance.draw(
            log_posterior,
            (mode.x - typical) / spread,
            mode.covariance / np.outer(spread, spread),
            width,
        )
        return importance.Draws(mode, typical + spread * z, k_hat, effective)

    def explain(self, x: Float[np.ndarray, "n k"], generations: Int[np.ndarray, " m"]) -> Explained:
        """Return the explanations of `generations` [m] at points [n, k], each part [n, m, ...].

        Points are processed in blocks: a few samples may be thousands of generations apart.
        """
        explain = compiled(self.model, self.size)["explain"]
        block = int(np.clip(_STATES // (self.data.generations + 1), 1, importance.POINTS))
        blocks = []
        for i in range(0, len(x), block):
            some = x[i : i + block]
            # All blocks have one shape, so that one compilation serves them.
            full = np.concatenate([some, np.repeat(some[-1:], block - len(some), axis=0)])
            parts = explain(jnp.asarray(full), self.data)
            blocks.append([np.asarray(part)[: len(some), generations] for part in parts])
        return Explained(*(np.concatenate(part) for part in zip(*blocks, strict=True)))

    def _log_prior(self, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        low, high, typical, spread = priors(self.parameters)
        inside = np.all((low <= x) & (x <= high), axis=1)
        values = {
            p.name: np.asarray(p.from_real(np.where(inside, x[:, i], typical[i])))
            for i, p in self.indexed_parameters()
        }
        density = -0.5 * np.square((x - typical) / spread).sum(axis=1)
        return np.where(inside, density + self.model.log_prior(values), -np.inf)


def fit_cycles(
    s: TraitSeries,
    theories: Sequence[str] | None = None,
    population_size: float | None = np.inf,
    seen: int | None = None,
    progress: Progress = no_progress,
) -> dict[str, CycleFit]:
    """Fit life cycles to the means and variances of a series by maximum likelihood.

    `theories` are names of `cycle_models`, all by default. `population_size` is the number of
    reproducing individuals, infinite for no drift, None to estimate it. A fit sees the first `seen`
    samples, all by default. `progress` is called after each theory. The search also starts from the
    maxima of contained theories, so that none of them is more likely than the containing one.

    Raises `UserError` for an unknown theory, a population size of 2 or less, or times that are not
    whole generations.
    """
    known = cycle_models()
    selected = list(known) if theories is None else list(theories)
    for name in selected:
        if name not in known:
            raise UserError(f"there is no life cycle '{name}', there are {', '.join(known)}")
    if population_size is not None and not population_size > 2:
        raise UserError(
            f"the population size is {population_size:g}, it must be greater than 2, or inf for no "
            f"drift"
        )
    if not selected:
        return {}
    # Typical values of priors must not come from held-out samples either.
    data, scale = Samples.from_series(s, seen), Scale.from_series(s.first(seen))
    by_name: dict[str, CycleFit] = {}

    def fitted(name: str) -> CycleFit:
        if name not in by_name:
            cls = known[name]
            nested = [fitted(inner) for inner in cls.contains]
            fits = [_fit(model, data, scale, population_size, nested) for model in cls.variants()]
            by_name[name] = max(fits, key=lambda fit: fit.log_likelihood)
        return by_name[name]

    fits = {}
    for name in selected:
        fits[name] = fitted(name)
        progress(1)
    return fits


def _fit(
    model: CycleModel,
    data: Samples,
    scale: Scale,
    size: float | None,
    nested: Sequence[CycleFit],
) -> CycleFit:
    parameters = model.parameters(scale, size is None)
    near = []
    for inner in nested:
        values = {**model.idle(scale), **inner.values}
        near.append(np.array([p.to_real(values[p.name]) for p in parameters]))
    fit = maximize(model, data, parameters, size, near)
    # Idle values are finite: a model becomes the one it contains only in their limit.
    least = max((inner.log_likelihood for inner in nested), default=-np.inf)
    return replace(fit, log_likelihood=max(fit.log_likelihood, least))


@one_thread
def maximize(
    model: CycleModel,
    data: Samples,
    parameters: tuple[Parameter, ...],
    size: float | None,
    near: Sequence[Float[np.ndarray, " k"]] = (),
    prior: float = 0.0,
) -> CycleFit:
    """Maximize the likelihood times a power of the priors, from `near` and further starts."""
    low, high, typical, spread = priors(parameters)
    compiled_loss = compiled(model, size)["loss"]

    # Units of the priors put all directions on one scale.
    def loss(z: np.ndarray) -> tuple[float, np.ndarray]:
        f, g = compiled_loss(typical + spread * z, data)
        f, g = float(f) + prior * z @ z / 2, np.asarray(g) * spread + prior * z
        return (f, g) if np.isfinite(f) and np.all(np.isfinite(g)) else (_NOWHERE, 0 * z)

    least, most = (low - typical) / spread, (high - typical) / spread
    bounds = list(zip(least, most, strict=True))

    def climb(z: np.ndarray, **how: float) -> OptimizeResult:
        begin = np.clip(z, least, most)
        return minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=how)

    unit = qmc.Halton(len(low), rng=np.random.default_rng(0)).random(_STARTS)
    wide = 2 * unit - 1
    # For a one-sided prior, starts are on its side, most of them near 0.
    wide = np.where(least > -1e-3, np.abs(wide) ** 3, wide)
    begins = [wide[0] / 10, *((x - typical) / spread for x in near), *wide]
    ends = [climb(z, ftol=1e-8, maxiter=200) for z in begins]
    best = min(ends, key=lambda end: end.fun)
    best = min(best, climb(best.x, ftol=1e-13, gtol=1e-7, maxiter=1000), key=lambda end: end.fun)
    if best.fun >= _NOWHERE:
        raise UserError(f"the likelihood of '{model.theory}' is finite nowhere")
    at_bound = (best.x - least < _MARGIN) | (most - best.x < _MARGIN)
    x = typical + spread * best.x
    return CycleFit(
        model,
        size,
        data,
        parameters,
        x,
        _covariance(loss, best.x, least, most, at_bound) * np.outer(spread, spread),
        -float(compiled_loss(x, data)[0]),
        at_bound,
    )


def _covariance(loss, z, least, most, at_bound) -> Float[np.ndarray, "k k"]:
    """Return the inverse curvature by differences of exact gradients, in units of the priors.

    At a bound, differences are taken inside; the density falls there with slope g and curvature h,
    and is about as wide as a normal of precision h + g^2.
    """
    z = np.clip(z, least + 2 * _STEP, most - 2 * _STEP)
    nudges = _STEP * np.eye(len(z))
    slopes = np.array([loss(z + e)[1] - loss(z - e)[1] for e in nudges]) / (2 * _STEP)
    slope = np.where(at_bound, loss(z)[1], 0.0)
    scales, axes = np.linalg.eigh((slopes + slopes.T) / 2 + np.diag(np.square(slope)))
    # A direction that the data do not identify is as wide as the prior.
    return axes @ np.diag(1 / np.maximum(scales, 1.0)) @ axes.T


@dataclass(frozen=True)
class Predicted:
    """Posterior predictions of sampled generations [S, T]: the population, and the samples.

    `mean` and `variance` are of the population, drift included; `sample_mean` and
    `sample_variance` of samples of n individuals; `log_density` [T, 2] is that of the measured
    values, averaged over the draws, given the earlier samples that the fit has seen.
    """

    mean: Float[np.ndarray, "S T"]
    variance: Float[np.ndarray, "S T"]
    sample_mean: Float[np.ndarray, "S T"]
    sample_variance: Float[np.ndarray, "S T"]
    log_density: Float[np.ndarray, "T 2"]


def predict(fit: CycleFit, count: int = importance.POINTS, seed: int = 0) -> Predicted:
    """Draw populations and samples of every sampled generation from the posterior of a fit."""
    rng = np.random.default_rng(seed)
    x = fit.draws.x[rng.permutation(len(fit.draws.x))[:count]]
    sampled = np.flatnonzero(np.asarray(fit.data.measured)[:, 0])
    density, path, P = fit.explain(x, sampled)
    # Cholesky factor of a covariance [2, 2] that may be 0.
    root = np.sqrt(np.maximum(P[..., 0, 0], 0))
    slope = np.divide(P[..., 0, 1], root, out=np.zeros_like(root), where=root > 0)
    rest = np.sqrt(np.maximum(P[..., 1, 1] - slope**2, 0))
    e, f, g = rng.normal(size=(3, *root.shape))
    mean, variance = path[..., 0] + root * e, np.exp(path[..., 1] + slope * e + rest * f)
    n, k = np.asarray(fit.data.n)[sampled], np.asarray(fit.data.freedom)[sampled]
    return Predicted(
        mean,
        variance,
        mean + np.sqrt(variance / n) * g,
        variance * rng.chisquare(k, variance.shape) / k,
        logsumexp(density, axis=0) - np.log(len(x)),
    )
