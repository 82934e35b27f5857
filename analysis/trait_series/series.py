"""A trait time series, its checks, and the sampling errors of its means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Shaped
from scipy.stats import chi2

from empirical.errors import UserError


@dataclass(frozen=True)
class TraitSeries:
    """Sample means and variances [T] (ddof = 1) of n [T] individuals at increasing times [T].

    `pool` says whether the samples share one variance. The variance of a single individual (n = 1)
    is unknown; its entry has weight 0.
    """

    time: Float[np.ndarray, " T"]
    mean: Float[np.ndarray, " T"]
    variance: Float[np.ndarray, " T"]
    n: Shaped[np.ndarray, " T"]
    pool: bool = True

    @property
    def pooled_variance(self) -> float:
        """Variance within samples, weighted by n - 1, as in paleoTS (Hunt 2006)."""
        weight = (self.n - 1) / (self.n - 1).sum()
        return float((weight * self.variance).sum())

    @property
    def lone(self) -> Bool[np.ndarray, " T"]:
        """Mask [T] of samples without an informative variance: n = 1, or variance 0."""
        return (self.n < 2) | (self.variance == 0)

    @property
    def error(self) -> Float[np.ndarray, " T"]:
        """Sampling variance of the means [T], V/n.

        V is the pooled variance, because variances of small samples are imprecise (Hunt 2006);
        without `pool` it is the sample's variance, except where that is uninformative (`lone`).
        """
        if self.pool:
            return self.pooled_variance / self.n
        return np.where(self.lone, self.pooled_variance, self.variance) / self.n

    def first(self, count: int | None) -> "TraitSeries":
        """Return the first `count` samples, all if it is None."""
        parts = {name: getattr(self, name)[:count] for name in ("time", "mean", "variance", "n")}
        return replace(self, **parts)

    def pooling(self, pool: bool) -> "TraitSeries":
        """Return the series with its variances pooled or not."""
        return replace(self, pool=pool)


@dataclass(frozen=True)
class VarianceTest:
    """Bartlett's test of equal variances: its statistic, degrees of freedom and p-value.

    `samples` were compared, and `left_out` samples (n = 1, or variance 0) were not.
    """

    statistic: float
    freedom: int
    p_value: float
    samples: int
    left_out: int


def variance_test(s: TraitSeries) -> VarianceTest | None:
    """Test whether the samples have one variance in common (Bartlett 1937).

    With f = n - 1, V the variance pooled by f, and k samples,

        [sum f ln V - sum (f ln V_i)] / {1 + [sum 1/f - 1/sum f] / [3 (k - 1)]}

    is approximately chi-squared with k - 1 degrees of freedom if individuals are normal and
    variances equal. Samples of one individual and of variance 0, whose logarithm does not exist,
    are left out. Return None where fewer than two remain.
    """
    f, V = (s.n - 1)[~s.lone], s.variance[~s.lone]
    k = len(f)
    if k < 2:
        return None
    # Relative to one of them, so that equal variances give exactly 0.
    relative = V / V[0]
    pooled = (f / f.sum() * relative).sum()
    apart = f.sum() * np.log(pooled) - (f * np.log(relative)).sum()
    statistic = float(max(apart, 0.0) / (1 + ((1 / f).sum() - 1 / f.sum()) / (3 * (k - 1))))
    return VarianceTest(statistic, k - 1, float(chi2.sf(statistic, k - 1)), k, int(s.lone.sum()))


def series(
    time, mean, variance, n, what: str = "given", *, pool: bool = True, lines: Sequence = ()
) -> TraitSeries:
    """Make a series from numbers, checked.

    `what` names the series in messages, and `lines` are the lines of its samples in a file. The
    variance of a sample of one individual may be missing (NaN).

    Raises `UserError` for columns of different lengths, fewer than three samples, numbers that are
    not finite, times that do not increase, n below 1 or not an integer, variances that are negative
    or all 0, and where no sample has two individuals.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, values in (("time", time), ("mean", mean), ("variance", variance), ("n", n)):
        try:
            arrays[name] = np.array(values, float)
        except (TypeError, ValueError):
            raise UserError(f"the series {what} has a {name} that is not a number") from None
        if arrays[name].ndim != 1:
            raise UserError(
                f"the series {what} has a {name} of shape {arrays[name].shape}, it must be a list "
                f"of numbers"
            )
    if len({a.shape for a in arrays.values()}) > 1:
        raise UserError(f"the columns of the series {what} have different lengths")
    t, V, n_ = arrays["time"], arrays["variance"], arrays["n"]
    V[(n_ == 1) & np.isnan(V)] = 0.0

    def place(i: int) -> str:
        return f"line {lines[i]}" if len(lines) else f"row {i + 1}"

    def refuse(bad: np.ndarray, name: str, allowed: str) -> None:
        if bad.any():
            i = int(np.flatnonzero(bad)[0])
            is_n = "n = " if name == "n" else f"{name} "
            raise UserError(
                f"the series {what} has {is_n}{arrays[name][i]:g} in {place(i)}, it must be "
                f"{allowed}"
            )

    for name, values in arrays.items():
        refuse(~np.isfinite(values), name, "finite")
    refuse((n_ < 1) | (n_ != np.round(n_)), "n", "an integer of 1 or more")
    refuse(V < 0, "variance", "at least 0")
    if len(t) < 3:
        raise UserError(f"the series {what} has {len(t)} samples, a fit needs 3 or more")
    if np.any(np.diff(t) <= 0):
        i = int(np.flatnonzero(np.diff(t) <= 0)[0])
        raise UserError(
            f"the times of the series {what} do not increase: {t[i]:g} in {place(i)}, then "
            f"{t[i + 1]:g}"
        )
    if not np.any(n_ > 1):
        raise UserError(
            f"the series {what} has no sample of two individuals or more, so the variance within "
            f"samples is unknown"
        )
    if not np.any(V[n_ > 1] > 0):
        raise UserError(f"the variances of the series {what} must be at least 0, and not all 0")
    s = TraitSeries(t, arrays["mean"], V, n_, pool)
    with np.errstate(over="ignore", under="ignore"):
        spread = np.concatenate([s.error, [np.ptp(s.mean) ** 2, np.ptp(t)]])
    if not np.all(np.isfinite(spread)) or not np.all(s.error > 0):
        raise UserError(
            f"the series {what} has numbers too large or too small to compute with, use other units"
        )
    return s
