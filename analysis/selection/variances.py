"""Variance within and between prompts, with how it was obtained.

V_W is pooled within prompts; V_B has the sampling part subtracted, V_B = var(z_c) - mean(V_W/n_c)
(`between` of moments.csv has not). One image a prompt does not tell them apart: replicates do, and
without them three generations give an upper bound of V_B.
"""

import numpy as np
from jaxtyping import Float

from analysis.selection import intervals
from analysis.selection.draws import Sample
from analysis.selection.intervals import MANY, POPULATION, SQUARES, THESE, Estimate
from analysis.selection.summaries import Means
from empirical.recipe import mostly_distinct
from empirical.runs import moments

FAMILIES, REPLICATES, BASE = "families", "replicates", "base model"
TOTAL, BOUND = "total", "upper bound"


def how(sample: Means, distinct: bool | None = None) -> str:
    """Return how V_W and V_B of a sample are known: by "families" of several images of the chain,
    by "replicates" where most prompts have one, or not at all: "total". `distinct` tells whether
    most prompts of the run have one image; by default those of the sample decide."""
    if not sample.freedom:
        return TOTAL
    if distinct is None:
        images = sample.realised()
        codes = np.repeat(images.codes, images.sizes.astype(int))
        distinct = mostly_distinct(list(map(str, codes)))
    return REPLICATES if sample.replicates and distinct else FAMILIES


def by_base_model(real: Sample, base: Sample) -> list[Estimate]:
    """Return V_W and V_B of real images with one image a prompt, without intervals: V_W is taken to
    be that of the base model, V_B the rest of the variance (`moments.by_base_model`)."""
    if len(real.values) < 2 or not base.freedom:
        return []
    parts = moments.by_base_model(real.values, np.diag(base.covariance))
    return [Estimate(q, float(v.mean())) for q, v in zip(("V_W", "V_B"), parts, strict=True)]


def within(sample: Means, quantity: str = "V_W") -> list[Estimate]:
    """Return V_W = sum (z - z_c)^2/(n - C), averaged over components, in squared feature units.

    Over images of these prompts: chi-square with the variance of the squares within prompts (no
    normal distribution is assumed), where prompts have `SQUARES` images or more. For a population
    of prompts: Student over prompts, on the log scale, nan where the variance of each prompt is
    unknown. None where no prompt has two images.
    """
    if not sample.freedom:
        return []
    V, estimates = sample.within, []
    if isinstance(sample, Sample) and sample.sizes.min() >= SQUARES:
        squares = np.square(sample.deviations).mean(axis=1)
        variance, _ = intervals.over_images(squares / sample.freedom, sample)
        ends = intervals.chi_square(V, variance)
        estimates.append(Estimate(quantity, V, *ends, THESE))
    sums = sample.sums_of_squares() - V * (sample.sizes - 1)
    several = sample.sizes > 1
    spread = intervals.over_prompts(sums[several] / sample.freedom)
    ends = intervals.log_student(V, *spread)
    target = POPULATION if np.isfinite(spread[0]) or isinstance(sample, Sample) else ""
    estimates.append(Estimate(quantity, V, *ends, target))
    return estimates


def between(sample: Sample, quantity: str = "V_B") -> list[Estimate]:
    """Return V_B = var(z_c) - mean(s_c^2/n_c), averaged over components, in squared feature units.

    Over images of these prompts the variance of their true means m_c is estimated:
    Var = [4 sum (m_c - m)^2 v_c + 2 sum v_c^2]/(C - 1)^2 with v_c = V_W/n_c, and v_c^2 over the
    effective dimension for several components. For a population of normal prompt means: modified
    large samples for few prompts, and the scatter of squares over prompts from `MANY` on. A lower
    end below 0 is 0. None for one prompt, or where no prompt has two images.
    """
    C = len(sample.codes)
    if C < 2 or not sample.freedom:
        return []
    v = sample.error_variance()
    centred = sample.means - sample.means.mean(axis=0)
    squares = np.square(centred).mean(axis=1)
    total, error = float(squares.sum()) / (C - 1), float(v.mean())
    V = total - error
    estimates = []
    if sample.sizes.min() >= SQUARES:
        variance = mean_square_variance(centred, sample) / (C - 1) ** 2
        low, high = intervals.student(V, variance, np.inf)
        estimates.append(Estimate(quantity, V, max(low, 0.0), high, THESE))
    if C < MANY:
        spread = float(sample.error_of_errors().sum()) / C**2
        nu = 2 * error**2 / spread if spread > 0 else np.inf
        low, high = intervals.difference(total, _dimension(centred) * (C - 1), error, nu)
    else:
        U = (squares * C / (C - 1) - v) / C
        low, high = intervals.student(V, *intervals.over_prompts(U))
    estimates.append(Estimate(quantity, V, max(low, 0.0), high, POPULATION))
    return estimates


def total(sample: Sample, quantity: str = "V") -> list[Estimate]:
    """Return the total variance of the images of the chain (ddof 1), averaged over components."""
    z = sample.realised().values
    if len(z) < 2:
        return []
    return [Estimate(quantity, float(z.var(axis=0, ddof=1).mean()))]


def mean_square_variance(centres: Float[np.ndarray, "C k"], sample: Sample) -> float:
    """Return Var of sum_c |m_c|^2/k over images, m_c = `centres` measured with error s_c^2/n_c.

    4 sum m_c' Sigma_c m_c/n_c + 2 sum tr(Sigma_c^2)/n_c^2, over k^2, the measured m_c being biased
    outwards by the errors; plus that of the subtracted sum of s_c^2/n_c. Of
    normal traits, with tr(Sigma_c^2) = tr(Sigma_c)^2/d, d the effective dimension.
    """
    k, n = centres.shape[1], sample.sizes
    u = 2 * (sample.over_images(centres / n[:, None]) * sample.deviations).sum(axis=1) / k
    first, _ = intervals.over_images(u, sample)
    of_errors = sample.error_of_errors()
    # 2 tr(Sigma_c^2)/n_c^2 of each prompt
    second = of_errors * np.where(n > 1, n - 1, sample.freedom)
    return max(first - 2 * float(second.sum()), 0.0) + float((second + of_errors).sum())


def _dimension(centred: Float[np.ndarray, "C k"]) -> float:
    """Return the effective dimension of prompt means, at least 1."""
    C, k = centred.shape
    return Sample(centred, np.zeros(C, int)).dimension if k > 1 and C > 3 else 1.0


def upper_bound(
    before: Means, sample: Means, after: Means, quantity: str = "V_B"
) -> list[Estimate]:
    """Return cov(t - 1, t) cov(t, t + 1)/cov(t - 1, t + 1) of prompt means: at least V_B.

    The quasi-Markov simplex of Heise (1969) gives V_B of generation t if nothing of an image beyond
    its prompt's value is passed on. A model learns the very image; then this is an upper bound. It
    has no interval. Averaged over components with positive covariances, None without any.
    """
    codes = np.intersect1d(np.intersect1d(before.codes, sample.codes), after.codes)
    if len(codes) < 3:
        return []
    x, y, z = (s.realised().only(codes).means for s in (before, sample, after))
    cov = lambda a, b: ((a - a.mean(axis=0)) * (b - b.mean(axis=0))).sum(axis=0) / (len(codes) - 1)
    xy, yz, xz = cov(x, y), cov(y, z), cov(x, z)
    usable = (xy > 0) & (yz > 0) & (xz > 0)
    if not usable.any():
        return []
    return [Estimate(quantity, float((xy * yz / np.where(usable, xz, 1.0))[usable].mean()))]
