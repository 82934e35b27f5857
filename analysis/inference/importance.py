"""Posteriors by adaptive importance sampling: seconds where NUTS takes a minute.

Points are drawn around the posterior mode and weighted by how much more the posterior says of them
than what they were drawn from; the next points are drawn from what the weighted ones look like. All
rounds count, each point weighted against the mixture of all proposals (Cornuet et al. 2012,
doi:10.1111/j.1467-9469.2011.00756.x). While a few points have most of the weight, their shape is
chance: proposals are then fitted to tempered weights w^b with b < 1, which go part of the way to
the posterior. The largest weights are smoothed by a generalised Pareto distribution, whose shape
k-hat says whether the draws can be trusted: below 0.7 (Vehtari et al. 2024, arXiv 1507.02646).
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

# Rounds that are always made and those that ridges may need, in blocks of so many points.
POINTS, ROUNDS, MORE_ROUNDS = 2048, (1, 1, 1), (2, 4, 8, 8, 8)
# What the last round must have reached: draws that are worth so many, and the bound of k-hat.
_ENOUGH, _TRUSTED = 2000.0, 0.5
# Heavier tails than the posterior's, so that no weight can be without bound; and every second point
# goes so many times further along one axis, because posteriors bend and ridges are long.
_FREEDOM, _STRETCH = 5, 3.0
# Points that stand for a normal, or for the proposal before.
_CLOUD = 1000
# So many points a parameter say what a proposal shall look like.
_TOLD = 30
# A parameter is known where the data say as much of it as the prior does: they halve its variance.
_KNOWN = 1 - np.sqrt(0.5)


@dataclass(frozen=True)
class Draws:
    """Draws `x` [S, k] from a posterior, equally weighted, on the scale of the search.

    `k_hat` is the shape of the tail of the importance weights, above 0.7 the draws are not to be
    trusted; `effective` the number of independent draws that they are worth.
    """

    mode: Maximum
    x: Float[np.ndarray, "S k"]
    k_hat: float
    effective: float

    @property
    def learnt(self) -> Float[np.ndarray, " k"]:
        """By which share the data have narrowed what was known of each parameter [k]: 1 - (sd of
        the posterior)/(sd of the prior), about 0 where they say nothing."""
        prior = np.asarray([p.prior_deviation for p in self.mode.parameters])
        return 1 - self.x.std(axis=0) / prior

    @property
    def trusted(self) -> bool:
        """Whether the tail of the weights lets the draws stand for the posterior."""
        return self.k_hat <= 0.7

    def interval(self, level: float = LEVEL) -> dict[str, tuple[float, float]]:
        """Return an interval of equal tails for each parameter in its units; nan for those of which
        the data say less than the prior."""
        tail = (1 - level) / 2
        ends, known = np.quantile(self.x, [tail, 1 - tail], axis=0).T, self.learnt >= _KNOWN
        found = {}
        for i, p in self.mode.own():
            low, high = sorted(float(p.from_real(end)) for end in ends[i])
            found[p.name] = (low, high) if known[i] else (float("nan"), float("nan"))
        return found


def draw_posterior(
    mode: Maximum, design: Design, count: int = 4000, seed: int = 0, points: int = POINTS
) -> Draws:
    """Draw from the posterior of a model around its mode (`maximize` with ``prior=1``).

    `count`, `seed` and `points` are those of `draw`.
    """
    of, density = linked(mode.model, design), _density(mode.model.general)
    prior = np.asarray([p.prior_deviation for p in mode.parameters])
    drawn = draw(
        lambda x: np.asarray(density(x, of)), mode.x, mode.covariance, prior, count, seed, points
    )
    return Draws(mode, *drawn)


@one_thread
def draw(
    log_posterior: Callable[[Float[np.ndarray, "n k"]], Float[np.ndarray, " n"]],
    mode: Float[np.ndarray, " k"],
    covariance: Float[np.ndarray, "k k"],
    prior_deviation: Float[np.ndarray, " k"],
    count: int = 4000,
    seed: int = 0,
    points: int = POINTS,
) -> tuple[Float[np.ndarray, "count k"], float, float]:
    """Draw from a density around its mode: draws [count, k], k-hat, effective number of draws.

    `log_posterior` maps points [n, k] to unnormalised log densities [n]; `covariance` [k, k] is
    the inverse curvature at the mode, with rows of zeros where it is unknown and the prior's width
    `prior_deviation` [k] stands in. `points` are drawn in each of three rounds. While the draws are
    not good yet there are up to five more, of two to eight times as many: the ends of long ridges
    are rare.
    """
    rng = np.random.default_rng(seed)
    x, height = np.empty((0, len(mode))), np.empty(0)
    proposal = _first(mode, covariance, prior_deviation, rng)
    proposals, of_proposals = [], []
    rounds = np.array([*ROUNDS, *MORE_ROUNDS])
    for done, blocks in enumerate(rounds, start=1):
        proposals.append(proposal)
        drawn = [proposal.draw(points, rng) for _ in range(blocks)]
        found = [log_posterior(block) for block in drawn]
        new = np.concatenate(drawn)
        # What every proposal says of every point, each asked once.
        of_proposals.append(proposal.log_density(x))
        of_proposals = [
            np.concatenate([known, q.log_density(new)])
            for q, known in zip(proposals, of_proposals, strict=True)
        ]
        x, height = np.concatenate([x, new]), np.concatenate([height, *found])
        share = rounds[:done, None] / rounds[:done].sum()
        mixture = logsumexp(of_proposals, axis=0, b=share)
        log_weight = np.nan_to_num(height - mixture, nan=-np.inf)
        weight, k_hat = _smoothed(log_weight)
        effective = _effective(weight)
        good = effective >= _ENOUGH and k_hat <= _TRUSTED
        if done == len(rounds) or (good and done >= len(ROUNDS)):
            break
        proposal = _next(proposal, x, log_weight, rng)
    return x[rng.choice(len(x), count, p=weight)], k_hat, effective


def _first(
    mode: np.ndarray, covariance: np.ndarray, prior_deviation: np.ndarray, rng: np.random.Generator
) -> "_Proposal":
    """Around the mode, by the curvature there."""
    prior = np.square(prior_deviation)
    # Where the curvature says nothing, at a bound or without influence, the prior's width does.
    unseen = np.diag(covariance) <= 0
    covariance = covariance + np.diag(np.where(unseen, prior, 0.0))
    # What is known least comes first: ridges run along it.
    order = np.argsort(-np.diag(covariance) / prior, kind="stable")
    scales, axes = np.linalg.eigh(covariance)
    cloud = rng.normal(size=(_CLOUD, len(prior))) * np.sqrt(np.maximum(scales, 1e-12))
    cloud = np.concatenate([cloud, -cloud]) @ axes.T + mode
    return _Proposal.of(cloud, np.ones(len(cloud)), order)


def _next(
    before: "_Proposal", x: np.ndarray, log_weight: np.ndarray, rng: np.random.Generator
) -> "_Proposal":
    """What weighted points look like, with a part of what was proposed before."""
    k = x.shape[1]
    weight = _tempered(log_weight, min(_TOLD * k, len(x) / 4))
    # A few draws cannot say how many dimensions lie: what was proposed before stays a part.
    trust = 1 / (1 + 10 * k / _effective(weight))
    cloud = before.draw(_CLOUD, rng)
    parts = trust * weight, np.full(_CLOUD, (1 - trust) / _CLOUD)
    return _Proposal.of(np.concatenate([x, cloud]), np.concatenate(parts), before.order)


def _tempered(log_weight: np.ndarray, enough: float) -> np.ndarray:
    """Weights w^b that add up to 1, with b <= 1 as large as leaves `enough` effective points."""
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
    def of(cls, x: np.ndarray, weight: np.ndarray, order: np.ndarray) -> "_Proposal":
        """Fit to weighted points by least squares, parameter by parameter."""
        x, weight = x[:, order], weight / weight.sum()
        centre = weight @ x
        unit = np.sqrt(np.maximum(weight @ np.square(x - centre), 1e-12))
        u, bends, rest, root = (x - centre) / unit, [], [], np.sqrt(weight)[:, None]
        for j in range(len(order)):
            features = _features(u[:, :j])
            # As if a tenth of a point more had shown no dependence: many terms, few points.
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
        """At points [n, k], up to a constant that all proposals share."""
        k = len(self.order)
        u = (x[:, self.order] - self.centre) / self.unit
        means = np.stack([_features(u[:, :j]) @ self.bends[j] for j in range(k)], axis=1)
        square = np.square((u - means) / self.rest)
        whole = square.sum(axis=1, keepdims=True)
        near = -(_FREEDOM + k) / 2 * np.log1p(whole / _FREEDOM)
        less = np.maximum(whole - square * (1 - _STRETCH**-2), 0)
        far = -(_FREEDOM + k) / 2 * np.log1p(less / _FREEDOM) - np.log(_STRETCH * k)
        volume = np.log(self.unit).sum() + np.log(self.rest).sum()
        return logsumexp(np.concatenate([near, far], axis=1), axis=1) - volume


def _features(u: np.ndarray) -> np.ndarray:
    """1, u and u^2, level beyond three standard deviations: what bends is not extrapolated."""
    return np.concatenate([np.ones((len(u), 1)), u, np.square(np.clip(u, -3, 3))], axis=1)


def _smoothed(log_weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights that add up to 1, the largest replaced by quantiles of a Pareto tail; and k-hat."""
    # ArviZ weighs shapes of the tail by 1/sum exp(...): what overflows there has no weight.
    with np.errstate(over="ignore"):
        smooth, k_hat = arviz().psislw(log_weight)
    weight = np.exp(smooth - smooth.max())
    return weight / weight.sum(), float(k_hat)


@cache
def _density(model: Model):
    def one(x: Array, design: Design) -> Array:
        parameters = all_parameters(model, design.components)
        return log_likelihood(model, x, design) + log_prior(parameters, x)

    return jax.jit(lambda x, design: lax.map(lambda one_x: one(one_x, design), x, batch_size=64))
