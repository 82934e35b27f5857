"""Posteriors by adaptive importance sampling: seconds where NUTS takes a minute.

Points are drawn around the posterior mode and weighted by the ratio of posterior to proposal
density; the next proposal is fitted to the weighted points. All rounds count: each point is
weighted against the mixture of all proposals (Cornuet et al. 2012,
doi:10.1111/j.1467-9469.2011.00756.x). While a few points have most of the weight, their shape is
noise: proposals are then fitted to tempered weights w^b with b < 1, between proposal and
posterior. The largest weights are smoothed by a generalised Pareto distribution, whose shape k-hat
is below 0.7 where the draws can be trusted (Vehtari et al. 2024, arXiv 1507.02646).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import jax
import numpy as np
from jax import Array, lax
from jaxtyping import Float
from scipy.optimize import bisect
from scipy.special import logsumexp

from analysis._arviz import arviz
from analysis._threads import one_thread
from analysis.arms.design import Design
from analysis.inference.likelihood import all_parameters, linked, log_likelihood, log_prior
from analysis.inference.maximum import LEVEL, Maximum
from analysis.models import Model

# Points of a block; blocks in the rounds that are always drawn and in those that ridges may need.
POINTS, ROUNDS, MORE_ROUNDS = 2048, (1, 1, 1), (2, 4, 8, 8, 8)
# Criteria to stop: effective number of draws, and k-hat.
_ENOUGH, _TRUSTED = 2000.0, 0.5
# Tails heavier than the posterior's, so that weights are bounded; and half of the points are
# stretched along one axis, because posteriors bend and ridges are long.
_FREEDOM, _STRETCH = 5, 3.0
# Points that represent a normal, or the previous proposal.
_CLOUD = 1000
# Effective points per parameter to which a proposal is fitted.
_POINTS_PER_PARAMETER = 30
# A parameter is identified where the data halve the variance of its prior.
_KNOWN = 1 - np.sqrt(0.5)


@dataclass(frozen=True)
class Draws:
    """Draws `x` [S, k] from a posterior, equally weighted, on the scale of the search.

    `k_hat` is the shape of the tail of the importance weights: above 0.7 the draws cannot be
    trusted; `effective` is the equivalent number of independent draws.
    """

    mode: Maximum
    x: Float[np.ndarray, "S k"]
    k_hat: float
    effective: float

    @property
    def contraction(self) -> Float[np.ndarray, " k"]:
        """Contraction of each parameter [k] from prior to posterior: 1 - (sd of the posterior)/(sd
        of the prior), about 0 where the data are uninformative."""
        prior = np.asarray([p.prior_std for p in self.mode.parameters])
        return 1 - self.x.std(axis=0) / prior

    @property
    def trusted(self) -> bool:
        """Whether k-hat is low enough for the draws to represent the posterior."""
        return self.k_hat <= 0.7

    def interval(self, level: float = LEVEL) -> dict[str, tuple[float, float]]:
        """Return an interval of equal tails for each parameter in its units; nan where the data are
        less informative than the prior."""
        tail = (1 - level) / 2
        ends, known = np.quantile(self.x, [tail, 1 - tail], axis=0).T, self.contraction >= _KNOWN
        intervals = {}
        for i, p in self.mode.indexed_parameters():
            low, high = sorted(float(p.from_real(end)) for end in ends[i])
            intervals[p.name] = (low, high) if known[i] else (float("nan"), float("nan"))
        return intervals


def draw_posterior(
    mode: Maximum, design: Design, count: int = 4000, seed: int = 0, points: int = POINTS
) -> Draws:
    """Draw from the posterior of a model around its mode (`maximize` with ``prior=1``).

    `count`, `seed` and `points` are those of `draw`.
    """
    data, density = linked(mode.model, design), _density(mode.model.general)
    prior = np.asarray([p.prior_std for p in mode.parameters])
    drawn = draw(
        lambda x: np.asarray(density(x, data)), mode.x, mode.covariance, prior, count, seed, points
    )
    return Draws(mode, *drawn)


@one_thread
def draw(
    log_posterior: Callable[[Float[np.ndarray, "n k"]], Float[np.ndarray, " n"]],
    mode: Float[np.ndarray, " k"],
    covariance: Float[np.ndarray, "k k"],
    prior_std: Float[np.ndarray, " k"],
    count: int = 4000,
    seed: int = 0,
    points: int = POINTS,
) -> tuple[Float[np.ndarray, "count k"], float, float]:
    """Draw from a density around its mode: draws [count, k], k-hat, effective number of draws.

    `log_posterior` maps points [n, k] to unnormalised log densities [n]; `covariance` [k, k] is
    the inverse curvature at the mode, with rows of zeros where it is unknown and the prior's width
    `prior_std` [k] is used. `points` are drawn in each of three rounds. Up to five more
    rounds, of two to eight times as many, follow until the draws meet the criteria: the ends of
    long ridges are rare.
    """
    rng = np.random.default_rng(seed)
    x, height = np.empty((0, len(mode))), np.empty(0)
    proposal = _first(mode, covariance, prior_std, rng)
    proposals, of_proposals = [], []
    rounds = np.array([*ROUNDS, *MORE_ROUNDS])
    for done, blocks in enumerate(rounds, start=1):
        proposals.append(proposal)
        drawn = [proposal.draw(points, rng) for _ in range(blocks)]
        heights = [log_posterior(block) for block in drawn]
        new = np.concatenate(drawn)
        # The density of every proposal at every point, evaluated once.
        of_proposals.append(proposal.log_density(x))
        of_proposals = [
            np.concatenate([known, q.log_density(new)])
            for q, known in zip(proposals, of_proposals, strict=True)
        ]
        x, height = np.concatenate([x, new]), np.concatenate([height, *heights])
        fraction = rounds[:done, None] / rounds[:done].sum()
        mixture = logsumexp(of_proposals, axis=0, b=fraction)
        log_weight = np.nan_to_num(height - mixture, nan=-np.inf)
        weight, k_hat = _smoothed(log_weight)
        effective = _effective(weight)
        good = effective >= _ENOUGH and k_hat <= _TRUSTED
        if done == len(rounds) or (good and done >= len(ROUNDS)):
            break
        proposal = _next(proposal, x, log_weight, rng)
    return x[rng.choice(len(x), count, p=weight)], k_hat, effective


def _first(
    mode: np.ndarray, covariance: np.ndarray, prior_std: np.ndarray, rng: np.random.Generator
) -> "_Proposal":
    """Return the proposal around the mode, from the curvature there."""
    prior = np.square(prior_std)
    # Where the curvature is unknown, at a bound or without influence, use the prior's width.
    unseen = np.diag(covariance) <= 0
    covariance = covariance + np.diag(np.where(unseen, prior, 0.0))
    # The least known parameters come first: ridges run along them.
    order = np.argsort(-np.diag(covariance) / prior, kind="stable")
    scales, axes = np.linalg.eigh(covariance)
    cloud = rng.normal(size=(_CLOUD, len(prior))) * np.sqrt(np.maximum(scales, 1e-12))
    cloud = np.concatenate([cloud, -cloud]) @ axes.T + mode
    return _Proposal.fitted(cloud, np.ones(len(cloud)), order)


def _next(
    before: "_Proposal", x: np.ndarray, log_weight: np.ndarray, rng: np.random.Generator
) -> "_Proposal":
    """Return a proposal fitted to weighted points, mixed with the previous proposal."""
    k = x.shape[1]
    weight = _tempered(log_weight, min(_POINTS_PER_PARAMETER * k, len(x) / 4))
    # A few draws do not determine many dimensions: the previous proposal remains a part.
    trust = 1 / (1 + 10 * k / _effective(weight))
    cloud = before.draw(_CLOUD, rng)
    parts = trust * weight, np.full(_CLOUD, (1 - trust) / _CLOUD)
    return _Proposal.fitted(np.concatenate([x, cloud]), np.concatenate(parts), before.order)


def _tempered(log_weight: np.ndarray, enough: float) -> np.ndarray:
    """Return weights w^b that add up to 1, with the largest b <= 1 that leaves `enough` effective
    points."""
    log_weight = log_weight - log_weight.max()

    def weights(b: float) -> np.ndarray:
        weight = np.exp(b * log_weight)
        return weight / weight.sum()

    def missing(b: float) -> float:
        return _effective(weights(b)) - enough

    # The number of effective points falls as b grows.
    least = 1e-6
    if missing(1.0) >= 0:
        return weights(1.0)
    return weights(bisect(missing, least, 1.0, xtol=1e-3) if missing(least) > 0 else least)


def _effective(weight: np.ndarray) -> float:
    return float(1 / np.square(weight).sum())


@dataclass(frozen=True)
class _Proposal:
    """A multivariate t in conditional coordinates z, so that it can bend as ridges do.

    Parameters come in an order, x_j = g_j(x_before) + r_j z_j with g_j quadratic in each of those
    before it (a triangular map: its volume is the product of the r_j). z is a t in all directions,
    mixed in equal parts with its stretches along each of its axes.
    """

    order: np.ndarray
    centre: np.ndarray
    unit: np.ndarray
    bends: tuple[np.ndarray, ...]
    rest: np.ndarray

    @classmethod
    def fitted(cls, x: np.ndarray, weight: np.ndarray, order: np.ndarray) -> "_Proposal":
        """Fit to weighted points by least squares, parameter by parameter."""
        x, weight = x[:, order], weight / weight.sum()
        centre = weight @ x
        unit = np.sqrt(np.maximum(weight @ np.square(x - centre), 1e-12))
        u, bends, rest, root = (x - centre) / unit, [], [], np.sqrt(weight)[:, None]
        for j in range(len(order)):
            features = _features(u[:, :j])
            # A weak ridge against overfitting: many terms, few points.
            prior = np.eye(features.shape[1]) * 1e-3
            prior[0, 0] = 0.0
            weighted = root * features
            bend = np.linalg.solve(
                weighted.T @ weighted + prior, weighted.T @ (root[:, 0] * u[:, j])
            )
            bends.append(bend)
            rest.append(np.sqrt(max(weight @ np.square(u[:, j] - features @ bend), 1e-12)))
        return cls(order, centre, unit, tuple(bends), np.array(rest))

    def draw(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "count k"]:
        """Draw points [count, k]."""
        k = len(self.order)
        z = rng.normal(size=(count, k))
        z /= np.sqrt(rng.chisquare(_FREEDOM, (count, 1)) / _FREEDOM)
        rows = np.flatnonzero(rng.random(count) < 0.5)
        z[rows, rng.integers(k, size=len(rows))] *= _STRETCH
        u = np.empty((count, k))
        for j in range(k):
            u[:, j] = _features(u[:, :j]) @ self.bends[j] + self.rest[j] * z[:, j]
        x = np.empty_like(u)
        x[:, self.order] = self.centre + self.unit * u
        return x

    def log_density(self, x: Float[np.ndarray, "n k"]) -> Float[np.ndarray, " n"]:
        """Return the log density at points [n, k], up to a constant that all proposals share."""
        k = len(self.order)
        u = (x[:, self.order] - self.centre) / self.unit
        means = np.stack([_features(u[:, :j]) @ self.bends[j] for j in range(k)], axis=1)
        square = np.square((u - means) / self.rest)
        total = square.sum(axis=1, keepdims=True)
        near = -(_FREEDOM + k) / 2 * np.log1p(total / _FREEDOM)
        less = np.maximum(total - square * (1 - _STRETCH**-2), 0)
        far = -(_FREEDOM + k) / 2 * np.log1p(less / _FREEDOM) - np.log(_STRETCH * k)
        volume = np.log(self.unit).sum() + np.log(self.rest).sum()
        return logsumexp(np.concatenate([near, far], axis=1), axis=1) - volume


def _features(u: np.ndarray) -> np.ndarray:
    """Return 1, u and u^2, constant beyond three standard deviations to avoid extrapolation."""
    return np.concatenate([np.ones((len(u), 1)), u, np.square(np.clip(u, -3, 3))], axis=1)


def _smoothed(log_weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Return weights that add up to 1, the largest replaced by Pareto quantiles; and k-hat."""
    # ArviZ weights tail shapes by 1/sum exp(...): those that overflow have no weight.
    with np.errstate(over="ignore"):
        smooth, k_hat = arviz().psislw(log_weight)
    weight = np.exp(smooth - smooth.max())
    return weight / weight.sum(), float(k_hat)


@cache
def _density(model: Model):
    def log_posterior(x: Array, design: Design) -> Array:
        parameters = all_parameters(model, design.components)
        return log_likelihood(model, x, design) + log_prior(parameters, x)

    return jax.jit(
        lambda x, design: lax.map(lambda point: log_posterior(point, design), x, batch_size=64)
    )
