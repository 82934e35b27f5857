"""Transmission: what unguided images of a finetuned model inherit from its training set.

Regressions of prompt means. The realised training images are what the model learns from, so their
means are exact regressors: there is no correction for errors in variables. Offspring means carry
V_W/n_c, which is subtracted from the residual scatter. Several components share one slope, each
with its own intercept.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from analysis.selection import intervals
from analysis.selection.draws import Draws, Sample
from analysis.selection.intervals import MANY, POPULATION, THESE, Estimate
from analysis.selection.summaries import Means, Summaries
from analysis.selection.variances import within


@dataclass(frozen=True)
class _Regression:
    """Least squares of offspring means on parent means, of the prompts that both have."""

    offspring: Means
    x: Float[np.ndarray, "C k"]
    slope: float
    residuals: Float[np.ndarray, "C k"]

    @property
    def leverage(self) -> Float[np.ndarray, " C"]:
        x2 = np.square(self.x)
        return 1 / len(self.x) + (x2 / x2.sum(axis=0)).mean(axis=1)


def _regress(offspring: Means, parents: Means) -> _Regression | None:
    codes = np.intersect1d(offspring.codes, parents.codes)
    if len(codes) < 3:
        return None
    offspring = offspring.only(codes)
    x, y = parents.only(codes).means, offspring.means
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    square = float(np.square(x).sum())
    if square <= 1e-20 * max(float(np.square(y).sum()), 1e-300):
        return None
    slope = float((x * y).sum()) / square
    return _Regression(offspring, x, slope, y - slope * x)


def slope(offspring: Means, parents: Means, quantity: str) -> list[Estimate]:
    """Return the slope of offspring means on parent means, without a unit.

    These prompts: the offspring images are drawn anew, so that their true means have this slope on
    the fixed parents. Population: prompt values scatter around the line, each with a variance of
    its own: the estimator HC2 of MacKinnon & White (1985), Student's degrees of freedom after Bell
    & McCaffrey (2002); moments of prompts give only this one. None for fewer than three prompts, or
    where parents do not differ.
    """
    fit = _regress(offspring, parents)
    if fit is None:
        return []
    square, images = float(np.square(fit.x).sum()), fit.offspring
    estimates = []
    if isinstance(images, Sample) and images.sizes.min() > 1:
        u = (images.over_images(fit.x / images.sizes[:, None]) * images.values).sum(axis=1) / square
        ends = intervals.student(fit.slope, *intervals.over_images(u, images))
        estimates.append(Estimate(quantity, fit.slope, *ends, THESE))
    U = (fit.x * fit.residuals).sum(axis=1) / square
    variance = float((np.square(U) / (1 - np.minimum(fit.leverage, 0.99))).sum())
    ends = intervals.student(fit.slope, variance, _bell_mccaffrey(fit))
    return [*estimates, Estimate(quantity, fit.slope, *ends, POPULATION)]


def _bell_mccaffrey(fit: _Regression) -> float:
    """Return tr(B)^2/tr(B^2) of HC2 = r' A r, B = (I - H) A (I - H), for equal variances.

    A = diag(a^2) with a_c = x_c/(sum x^2 sqrt(1 - h_c)); sums over H are closed, H being 1/C +
    x x'/sum x^2. Several components are described by the lengths of their x_c.
    """
    C = len(fit.x)
    x2 = np.square(fit.x).sum(axis=1)
    x = fit.x[:, 0] if fit.x.shape[1] == 1 else np.sqrt(x2)
    S, h = float(x2.sum()), 1 / C + x2 / float(x2.sum())
    a2 = x2 / (1 - np.minimum(h, 0.99))
    trace = float((a2 * (1 - h)).sum())
    crossed = (a2.sum() / C) ** 2 + 2 * (a2 * x).sum() ** 2 / (C * S) + ((a2 * x2).sum() / S) ** 2
    square = float((np.square(a2) * (1 - 2 * h)).sum() + crossed)
    return max(trace**2 / square, 1.0)


def transmission(draws: Draws) -> list[Estimate]:
    """Return `transmission`, the slope of unguided means on those of the training set;
    `parent_offspring`, that of guided means on the previous generation's images; `drift` and
    `mutation`, in squared feature units."""
    return [
        *slope(draws.unguided, draws.training, "transmission"),
        *slope(draws.guided, draws.previous.realised(), "parent_offspring"),
        *drift(draws),
        *mutation(draws),
    ]


def drift(draws: Draws | Summaries) -> list[Estimate]:
    """Return V_W/n_c of the training set, averaged over prompts: by how much its means scatter
    around those of the distribution it was drawn from, by expectation.

    None where V_W of the training set is unknown.
    """
    assert draws.training is not None
    per_image = float((1 / draws.training.sizes).mean())
    return [
        Estimate("drift", per_image * e.value, per_image * e.low, per_image * e.high, e.target)
        for e in within(draws.parents)
    ]


def mutation(draws: Draws) -> list[Estimate]:
    """Return the residual variance of unguided prompt means on those of the training set, less
    V_W/n_c of the unguided images: prompt values changed by finetuning beyond the slope.

    [sum r_c^2 - sum (1 - h_c) s_c^2/n_c]/(C - 2), averaged over components; by chance it may be
    negative. Population of prompts: normal residuals and modified large samples for few prompts,
    the scatter of squares over prompts from `MANY` on; ends below 0 are 0. Within prompts
    heritability and mutation cannot be separated: their sum is V_W of unguided images. None for
    fewer than four prompts, or where V_W is unknown.
    """
    fit = _regress(draws.unguided, draws.training)
    if fit is None or len(fit.x) < 4 or not fit.offspring.freedom:
        return []
    C, images = len(fit.x), fit.offspring
    assert isinstance(images, Sample)
    freedom = C - 1 - 1 / fit.x.shape[1]
    squares = np.square(fit.residuals).mean(axis=1)
    v = (1 - fit.leverage) * images.error_variance()
    value = float((squares - v).sum()) / freedom
    if C < MANY:
        spread = float((np.square(1 - fit.leverage) * images.error_of_errors()).sum())
        nu = 2 * float(v.sum()) ** 2 / spread if spread > 0 else np.inf
        scatter, error = float(squares.sum()) / freedom, float(v.sum()) / freedom
        low, high = intervals.difference(scatter, freedom * images.dimension, error, nu)
    else:
        low, high = intervals.student(value, *intervals.over_prompts((squares - v) / freedom))
    return [Estimate("mutation", value, max(low, 0.0), max(high, 0.0), POPULATION)]


def two_parents(draws: Draws | Summaries) -> list[Estimate]:
    """Return the weights of parent and base, from the regression of prompt means on both.

    `parent_weight` and `base_weight` of guided means; with `transmission_` before them, of unguided
    means. The base model's means were drawn, not learnt from: their known sampling variance v_c is
    taken from the diagonal of the cross products (Fuller 1987, section 2.2),

        theta = [sum x x' - diag(0, sum v_c)]^-1 sum x y,   x = (training, base), centred,

    with the sandwich of x_c r_c + (0, v_c theta_2) over prompts, Student with C - 3 degrees of
    freedom. Population of prompts. None for fewer than five prompts, without a base, or where
    parents and base coincide up to the sampling error of the base.
    """
    if draws.base is None or not draws.base.freedom:
        return []
    return [
        *_two_parents(draws.guided, draws, ""),
        *_two_parents(draws.unguided, draws, "transmission_"),
    ]


def _two_parents(offspring: Means, draws: Draws | Summaries, prefix: str) -> list[Estimate]:
    assert draws.base is not None
    assert draws.training is not None
    training, base = draws.training, draws.base
    codes = np.intersect1d(np.intersect1d(offspring.codes, training.codes), base.codes)
    C = len(codes)
    if C < 5:
        return []
    base = base.only(codes)
    sets = (offspring.only(codes).means, training.only(codes).means, base.means)
    y, x, b = (z - z.mean(axis=0) for z in sets)
    v = base.error_variance() * x.shape[1]
    X = np.stack([x, b], axis=2)
    A = np.einsum("cki,ckj->ij", X, X)
    A[1, 1] -= v.sum() * (1 - 1 / C)
    # The slope on two predictors needs what is left of them after each other.
    if A[1, 1] <= 0 or A[0, 0] * A[1, 1] - A[0, 1] ** 2 <= 0.01 * A[0, 0] * A[1, 1]:
        return []
    inverse = np.linalg.inv(A)
    theta = inverse @ np.einsum("cki,ck->i", X, y)
    r = y - X @ theta
    score = np.einsum("cki,ck->ci", X, r)
    score[:, 1] += v * theta[1]
    leverage = np.einsum("cki,ij,ckj->c", X, inverse, X) / x.shape[1] + 1 / C
    score /= 1 - np.clip(leverage, 0.0, 0.9)[:, None]
    covariance = inverse @ score.T @ score @ inverse
    names = (f"{prefix}parent_weight", f"{prefix}base_weight")
    return [
        Estimate(n, float(t), *intervals.student(float(t), float(s), C - 3.0), POPULATION)
        for n, t, s in zip(names, theta, np.diag(covariance), strict=True)
    ]
