"""A trait time series and its checks."""

from dataclasses import dataclass

import numpy as np

from empirical.errors import UserError


@dataclass(frozen=True)
class TraitSeries:
    """Sample means and variances [T] (ddof = 1) of n [T] individuals at increasing times [T]."""

    time: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    n: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """Sampling variance of the means [T], V/n, with V pooled over the series by n - 1.

        A sample of few has a poor variance of its own (Hunt 2006).
        """
        spare = self.n - 1
        return (spare * self.variance).sum() / spare.sum() / self.n


def series(time, mean, variance, n, what: str = "given") -> TraitSeries:
    """Make a series of numbers.

    Raises `UserError` for columns of different lengths, fewer than three samples, numbers that are
    not finite, times that do not increase, n below 2 or not whole, and variances that are negative
    or all 0.
    """
    arrays: dict[str, np.ndarray] = {}
    for name, values in (("time", time), ("mean", mean), ("variance", variance), ("n", n)):
        try:
            arrays[name] = np.asarray(values, float)
        except (TypeError, ValueError):
            raise UserError(f"the series {what} has a {name} that is not a number") from None
        bad = np.flatnonzero(~np.isfinite(arrays[name]))
        if len(bad):
            raise UserError(
                f"the series {what} has {name} {arrays[name][bad[0]]} in row {bad[0] + 1}, it must "
                f"be finite"
            )
    if len({a.shape for a in arrays.values()}) > 1:
        raise UserError(f"the columns of the series {what} have different lengths")
    t, V, n_ = arrays["time"], arrays["variance"], arrays["n"]
    if len(t) < 3:
        raise UserError(f"the series {what} has {len(t)} samples, a fit needs 3 or more")
    if np.any(np.diff(t) <= 0):
        raise UserError(f"the times of the series {what} do not increase")
    if np.any(n_ < 2) or np.any(n_ != np.round(n_)):
        raise UserError(f"the series {what} has n = {n_.min():g}, it must be whole and 2 or more")
    if np.any(V < 0) or not np.any(V > 0):
        raise UserError(f"the variances of the series {what} must be at least 0, and not all 0")
    return TraitSeries(t, arrays["mean"], V, n_)
