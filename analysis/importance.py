"""Posteriors by adaptive importance sampling: seconds where NUTS takes a minute.

Points are drawn around the posterior mode and weighted by how much more the posterior says of them
than what they were drawn from; the next points are drawn from what the weighted ones look like. All
rounds count, each point weighted against the mixture of all proposals (Cornuet et al. 2012,
doi:10.1111/j.1467-9469.2011.00756.x). The largest weights are smoothed by a generalised Pareto
distribution, whose shape k-hat says whether the draws can be trusted: below 0.7 (Vehtari et al.
2024, arXiv 1507.02646).
"""

from dataclasses import dataclass
from functools import cache

import jax
import numpy as np
from jax import Array, lax
from scipy.special import logsumexp

from analysis.design import Design
from analysis.likelihood import all_parameters, linked, log_likelihood, log_prior
from analysis.maximum import LEVEL, Maximum
from analysis.models import Model
from analysis.posterior import arviz

POINTS, ROUNDS, MOST_ROUNDS = 2048, 3, 8
# What the last round must have reached: draws that are worth so many, and the bound of k-hat.
_ENOUGH, _TRUSTED = 1000.0, 0.6
# Heavier tails than the posterior's, so that no weight can be without bound; and every second point
# goes so many times further along one axis, because posteriors bend and ridges are long.
_FREEDOM, _STRETCH = 5, 3.0
# A parameter is known where the data say as much of it as the prior does: they halve its variance.
_KNOWN = 1 - np.sqrt(0.5)


@dataclass(frozen=True)
class Draws:
    """Draws `x` [S, k] from a posterior, equally weighted, on the scale of the search.

    `k_hat` is the shape of the tail of the importance weights, above 0.7 the draws are not to be
    trusted; `effective` the number of independent draws that they are worth.
    """

    mode: Maximum
    x: np.ndarray
    k_hat: float
    effective: float

    @property
    def learnt(self) -> np.ndarray:
        """By which share the data have narrowed what was known of each parameter [k]: 1 - (sd of
        the posterior)/(sd of the prior), about 0 where they say nothing."""
        prior = np.asarray([p.prior_deviation for p in self.mode.parameters])
        return 1 - self.x.std(axis=0) / prior

    def interval(self, level: float = LEVEL) -> dict[str, tuple[float, float]]:
        """Return an interval of equal tails for each parameter in its units; nan for those of which
        the data say less than the prior."""
        tail = (1 - level) / 2
        ends, known = np.quantile(self.x, [tail, 1 - tail], axis=0).T, self.learnt >= _KNOWN
        found = {}
        for i, p in self.mode.own():
            low, high = (float(p.from_real(end)) for end in ends[i])
            found[p.name] = (low, high) if known[i] else (float("nan"), float("nan"))
        return found


def draw_posterior(
    mode: Maximum, design: Design, count: int = 1000, seed: int = 0, points: int = POINTS
) -> Draws:
    """Draw from the posterior of a model around its mode (`maximize` with ``prior=1``).

    `points` are drawn in each of three rounds, or of up to eight until the draws are good.
    """
    of, density = linked(mode.model, design), _density(mode.model.general)
    rng = np.random.default_rng(seed)
    prior = np.square([p.prior_deviation for p in mode.parameters])
    # Where the curvature says nothing, at a bound or without influence, the prior's width does.
    unseen = np.diag(mode.covariance) <= 0
    centre, covariance = mode.x, mode.covariance + np.diag(np.where(unseen, prior, 0.0))
    proposals, x, log_posterior = [], np.empty((0, len(centre))), np.empty(0)
    while True:
        proposals.append(_Proposal.around(centre, covariance))
        drawn = proposals[-1].draw(points, rng)
        x = np.concatenate([x, drawn])
        log_posterior = np.concatenate([log_posterior, np.asarray(density(drawn, of))])
        mixture = logsumexp([q.log_density(x) for q in proposals], axis=0) - np.log(len(proposals))
        weight, k_hat = _smoothed(np.nan_to_num(log_posterior - mixture, nan=-np.inf))
        effective = float(1 / np.square(weight).sum())
        good = effective >= _ENOUGH and k_hat <= _TRUSTED
        if len(proposals) >= (ROUNDS if good else MOST_ROUNDS):
            break
        centre = weight @ x
        seen = (weight[:, None] * (x - centre)).T @ (x - centre)
        # A few draws cannot say how many dimensions lie: what was proposed before stays a part.
        trust = 1 / (1 + 10 * len(centre) / effective)
        covariance = trust * seen + (1 - trust) * covariance
    return Draws(mode, x[rng.choice(len(x), count, p=weight)], k_hat, effective)


@dataclass(frozen=True)
class _Proposal:
    """A multivariate t in all directions, mixed in equal parts with its stretches along each of its
    principal axes; `axes` [k, k] map standard coordinates to those of the search."""

    centre: np.ndarray
    axes: np.ndarray

    @classmethod
    def around(cls, centre: np.ndarray, covariance: np.ndarray) -> "_Proposal":
        scales, axes = np.linalg.eigh(covariance)
        return cls(centre, axes * np.sqrt(np.maximum(scales, 1e-12)))

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        k = len(self.centre)
        u = rng.normal(size=(count, k))
        u /= np.sqrt(rng.chisquare(_FREEDOM, (count, 1)) / _FREEDOM)
        rows = np.flatnonzero(rng.random(count) < 0.5)
        u[rows, rng.integers(k, size=len(rows))] *= _STRETCH
        return self.centre + u @ self.axes.T

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """At points [n, k], up to a constant that all proposals share."""
        k = len(self.centre)
        square = np.square(np.linalg.solve(self.axes, (x - self.centre).T).T)
        whole = square.sum(axis=1, keepdims=True)
        near = -(_FREEDOM + k) / 2 * np.log1p(whole / _FREEDOM)
        less = np.maximum(whole - square * (1 - _STRETCH**-2), 0)
        far = -(_FREEDOM + k) / 2 * np.log1p(less / _FREEDOM) - np.log(_STRETCH * k)
        log_volume = np.linalg.slogdet(self.axes)[1]
        return logsumexp(np.concatenate([near, far], axis=1), axis=1) - log_volume


def _smoothed(log_weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights that add up to 1, the largest replaced by quantiles of a Pareto tail; and k-hat."""
    smooth, k_hat = arviz().psislw(log_weight)
    weight = np.exp(smooth - smooth.max())
    return weight / weight.sum(), float(k_hat)


@cache
def _density(model: Model):
    def one(x: Array, design: Design) -> Array:
        parameters = all_parameters(model, design.components)
        return log_likelihood(model, x, design) + log_prior(parameters, x)

    return jax.jit(lambda x, design: lax.map(lambda one_x: one(one_x, design), x, batch_size=64))
