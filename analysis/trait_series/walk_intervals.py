"""Intervals of the parameters of walks, by the curvature of their likelihood."""

import numpy as np
from scipy.stats import norm

from analysis.inference.importance import LEVEL
from analysis.trait_series.series import TraitSeries
from analysis.trait_series.walk_fit import SeriesFit
from analysis.trait_series.walks import log_likelihood

_STEP = 1e-3
_POSITIVE = ("step_variance", "omega", "alpha")


def walk_intervals(
    fit: SeriesFit, s: TraitSeries, level: float = LEVEL
) -> dict[str, tuple[float, float]]:
    """Return an interval for each parameter that is not at a bound, symmetric on its scale.

    estimate -+ z sqrt([-H^-1]_ii), with H the matrix of second derivatives of the log likelihood
    at its maximum; variances and rates on a log scale. Parameters are missing where the likelihood
    has no curvature.
    """
    names = [name for name in fit.values if name not in fit.at_bound]
    unit = float(np.sqrt(s.error.mean() + np.var(s.mean)))
    span = float(np.ptp(s.time))
    scale = {"step_mean": unit / span}
    positive = np.array([name in _POSITIVE for name in names])
    begin = np.array([np.log(fit.values[n]) if n in _POSITIVE else fit.values[n] for n in names])
    steps = _STEP * np.array([1.0 if n in _POSITIVE else scale.get(n, unit) for n in names])

    def height(x: np.ndarray) -> float:
        moved = np.where(positive, np.exp(np.where(positive, x, 0.0)), x)
        return log_likelihood(fit.model, {**fit.values, **dict(zip(names, moved, strict=True))}, s)

    k, top = len(names), height(begin)
    e = np.diag(steps)
    up, down = (np.array([height(begin + sign * e[i]) for i in range(k)]) for sign in (1, -1))
    H = np.diag((up + down - 2 * top) / steps**2)
    for i in range(k):
        for j in range(i):
            both = height(begin + e[i] + e[j]) + height(begin - e[i] - e[j])
            each = up[i] + down[i] + up[j] + down[j] - 2 * top
            H[i, j] = H[j, i] = (both - each) / (2 * steps[i] * steps[j])
    # Units of the steps put all directions on one scale.
    scales, axes = np.linalg.eigh(-H * np.outer(steps, steps))
    if not k or scales[0] <= 1e-12:
        return {}
    variance = np.square(steps) * np.square(axes / np.sqrt(scales)).sum(axis=1)
    half = norm.ppf((1 + level) / 2) * np.sqrt(variance)
    ends = np.stack([begin - half, begin + half], axis=1)
    ends[positive] = np.exp(ends[positive])
    return {name: (float(a), float(b)) for name, (a, b) in zip(names, ends, strict=True)}
