"""The search for the maximum of the joint likelihood of a walk.

The mean of each model is linear in its other parameters, which follow by generalised least
squares. The search is therefore over one variance, and for Ornstein-Uhlenbeck also the rate of
return, few enough dimensions for a full grid, where searches from a few starts end on plateaus. The
grid includes its limits: a variance of 0, and rates slow or fast enough that Ornstein-Uhlenbeck is
a directional walk or stasis. So no model is less likely than one that it contains.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import OptimizeResult, minimize, minimize_scalar

from analysis.trait_series.series import TraitSeries
from analysis.trait_series.walks import innovations
from qtm.progress import Progress

RETURN = "Ornstein-Uhlenbeck"
# A return by e^-40 between the nearest samples is numerically complete, one by 1e-12 over the
# series none.
_FULL, _NONE = 40.0, 1e-12
_EQUAL = 1e-7
# How often progress is reported along the grid of rates.
CHUNKS = 8


@dataclass(frozen=True)
class Peak:
    """A maximum: log likelihood, the variance gained over the series, the rate of return."""

    height: float
    gain: float
    rate: float = 0.0


@dataclass(frozen=True)
class Search:
    """The series with means and times in units of their spread.

    `gain` is what a process adds to the variance of the mean over the whole series (of stasis:
    omega): finite at both ends of the rate of return, unlike the variance of a step.
    """

    t: Float[np.ndarray, " T"]
    z: Float[np.ndarray, " T"]
    error: Float[np.ndarray, " T"]
    span: float
    middle: float
    unit: float

    @classmethod
    def from_series(cls, s: TraitSeries) -> "Search":
        span, middle = float(np.ptp(s.time)), float(s.mean.mean())
        unit = float(np.sqrt(max(float(np.var(s.mean)), float(s.error.max()))))
        t, z = (s.time - s.time[0]) / span, (s.mean - middle) / unit
        return cls(t, z, s.error / unit**2, span, middle, unit)

    @cached_property
    def gains(self) -> Float[np.ndarray, " gains"]:
        """Variances from negligible against the errors to more than any step requires."""
        steps = np.diff(self.z) ** 2 / np.diff(self.t)
        high = 10 * max(float(steps.max()), float(np.ptp(self.z)) ** 2, float(self.error.max()))
        low = 1e-9 * float(self.error.min())
        return np.geomspace(low, high, 2 + int(2 * np.log10(high / low)))

    @cached_property
    def rates(self) -> Float[np.ndarray, " rates"]:
        """Rates of return, from negligible to complete between all samples."""
        full = _FULL / float(np.diff(self.t).min())
        slow = np.geomspace(_NONE, 1e-3, 7)[:-1]
        return np.concatenate([slow, np.geomspace(1e-3, full, 2 + int(4 * np.log10(full / 1e-3)))])

    def design(self, model: str, rate: float) -> Float[np.ndarray, "T k"]:
        """Return the columns [T, k] of the linear model of the mean: the start and, for some
        models, the change."""
        ones = np.ones_like(self.t)
        if model == "directional walk":
            return np.stack([ones, self.t], axis=1)
        if model == RETURN:
            return np.stack([ones, np.expm1(-rate * self.t) / np.expm1(-rate)], axis=1)
        return ones[:, None]

    def scaled(self, model: str, gain: float, rate: float) -> dict[str, float]:
        """Return the parameters of the covariance, in scaled units."""
        if model == "stasis":
            return {"omega": gain}
        if model == RETURN:
            return {"alpha": rate, "step_variance": gain * 2 * rate / -np.expm1(-2 * rate)}
        return {"step_variance": gain}

    def solve(
        self, model: str, gain: float, rate: float = 0.0
    ) -> tuple[float, Float[np.ndarray, " k"]]:
        """Return the log likelihood at the best mean, and that mean's coefficients [k]."""
        root = innovations(model, self.scaled(model, gain, rate), self.t, self.error)
        X = self.design(model, rate)
        if not root.definite:
            return -np.inf, np.zeros(X.shape[1])
        white = root.whiten(root.apply(np.column_stack([X, self.z])))
        R = np.asarray(np.linalg.qr(white, mode="r"))
        coefficients = np.linalg.lstsq(R[:-1, :-1], R[:-1, -1], rcond=None)[0]
        height = root.constant - 0.5 * float(R[-1, -1]) ** 2
        return height - len(self.t) * float(np.log(self.unit)), coefficients

    def height(self, model: str, gain: float, rate: float = 0.0) -> float:
        return self.solve(model, gain, rate)[0]

    def peak(self, model: str, progress: Progress) -> Peak:
        """Return the maximum of a model."""
        if model == RETURN:
            return self._peak_of_return(progress)
        peak = self._peak_at(model)
        progress(1)
        return peak

    def _peak_at(self, model: str, rate: float = 0.0) -> Peak:
        """Return the maximum over the gain: on a grid, then refined between neighbours."""
        logs = np.log(self.gains)
        heights = [self.height(model, gain, rate) for gain in self.gains]
        ends = [(self.height(model, 0.0, rate), 0.0)]
        for i in _tops(heights)[:3]:
            between = (logs[max(i - 1, 0)], logs[min(i + 1, len(logs) - 1)])
            end: Any = minimize_scalar(
                lambda x: -self.height(model, float(np.exp(x)), rate),
                bounds=between,
                method="bounded",
                options={"xatol": 1e-9},
            )
            ends += [(-float(end.fun), float(np.exp(end.x))), (heights[i], float(self.gains[i]))]
        height, gain = max(ends)
        # A variance indistinguishable from 0 is 0.
        none = ends[0][0]
        return Peak(none, 0.0, rate) if none >= height - _EQUAL else Peak(height, gain, rate)

    def _peak_of_return(self, progress: Progress) -> Peak:
        """Return the maximum over gain and rate: a grid, refined local maxima, and all limits."""
        gains = np.concatenate([[0.0], self.gains[::2]])
        rows = []
        for rates in np.array_split(self.rates, CHUNKS):
            rows += [[self.height(RETURN, gain, rate) for gain in gains] for rate in rates]
            progress(1)
        grid = np.array(rows)
        ends = [self._peak_at(RETURN, float(self.rates[i])) for i in (0, -1)]
        progress(1)
        best = grid[:, 1:].max(axis=1)
        inside = [self._climb(i, 1 + int(grid[i, 1:].argmax())) for i in _tops(best)[:4]]
        i = int(grid[:, 0].argmax())
        exact = self._climb(i, 0)
        progress(1)
        top = max([*ends, exact, *inside], key=lambda peak: peak.height)
        # A parameter indistinguishable from its bound is at the bound.
        near = (peak for peak in (*ends, exact) if peak.height >= top.height - _EQUAL)
        return next(near, top)

    def _climb(self, row: int, column: int) -> Peak:
        """Climb from a node of the grid over rate and gain; at column 0, over the rate alone."""
        x = [np.log(self.rates[row])]
        bounds = [(np.log(self.rates[0]), np.log(self.rates[-1]))]
        if column:
            x.append(np.log(self.gains[::2][column - 1]))
            bounds.append((np.log(self.gains[0]), np.log(self.gains[-1])))

        def place(x: np.ndarray) -> tuple[float, float]:
            return (float(np.exp(x[1])) if len(x) > 1 else 0.0, float(np.exp(x[0])))

        start = np.array(x)
        corners = np.vstack([start, start + 0.5 * np.eye(len(x))])
        end: OptimizeResult = minimize(
            lambda x: -self.height(RETURN, *place(x)),
            start,
            method="Nelder-Mead",
            bounds=bounds,
            options={"initial_simplex": corners, "xatol": 1e-8, "fatol": 1e-11, "maxiter": 500},
        )
        return Peak(-float(end.fun), *place(end.x))

    def values(self, model: str, peak: Peak) -> dict[str, float]:
        """Return the parameters at a maximum, in the units of the series."""
        first, *rest = self.solve(model, peak.gain, peak.rate)[1]
        start = float(self.middle + self.unit * first)
        spread = self.scaled(model, peak.gain, peak.rate)
        if model == "stasis":
            return {"theta": start, "omega": float(spread["omega"] * self.unit**2)}
        step_variance = float(spread["step_variance"] * self.unit**2 / self.span)
        if model == "random walk":
            return {"ancestor": start, "step_variance": step_variance}
        way = float(self.unit * rest[0])
        if model == "directional walk":
            return {
                "ancestor": start,
                "step_mean": way / self.span,
                "step_variance": step_variance,
            }
        return {
            "ancestor": start,
            "theta": start + way / -float(np.expm1(-peak.rate)),
            "alpha": peak.rate / self.span,
            "step_variance": step_variance,
        }

    def at_bound(self, model: str, peak: Peak) -> tuple[str, ...]:
        """Return the names of the parameters at an end of their range."""
        gain = "omega" if model == "stasis" else "step_variance"
        reached = [gain] if peak.gain in (0.0, self.gains[-1]) else []
        if model == RETURN and peak.rate in (self.rates[0], self.rates[-1]):
            reached.append("alpha")
        return tuple(reached)

    def sentences(self, model: str, peak: Peak) -> list[str]:
        """Explain each parameter that is at an end of its range."""
        messages, values = [], self.values(model, peak)
        for name in self.at_bound(model, peak):
            bound = f"{model}: {name} is at its bound {values[name]:.3g}"
            if name != "alpha":
                messages.append(
                    f"{bound}, sampling error alone explains the scatter about the mean"
                )
            elif peak.rate == self.rates[0]:
                messages.append(
                    f"{bound}, no return is visible: theta is not identified, and the model is a "
                    f"directional walk"
                )
            else:
                held = values["step_variance"] / (2 * values["alpha"])
                messages.append(
                    f"{bound}, a full return between all samples: only step_variance / (2 alpha) "
                    f"= {held:.3g} is identified, which is omega in stasis"
                )
        return messages


def _tops(heights: Sequence[float]) -> list[int]:
    """Return the indices of local maxima, the highest first."""
    padded = np.concatenate([[-np.inf], heights, [-np.inf]])
    is_top = (padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:])
    return sorted(np.flatnonzero(is_top).tolist(), key=lambda i: -heights[i])
