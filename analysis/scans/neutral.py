"""The neutral guidance scale: where prompts are drawn apart as much as finetuning pulls them
together.

Two criteria. `V_B`: the variance between prompts of a model's images equals that of its training
set; as `between` of moments.csv, the variance of prompt means as they are, or, where most captions
are of one image, free of the sampling part by replicates. `slope`: the regression of prompt means
on those of the training set is 1. Residual scatter adds to V_B, so that the two differ.

The realised training images are what the model learns from: they are known exactly. Intervals are
of these prompts, whose images are drawn anew, paired by seed over the scales. The 90 % interval is
the range of scales at which the criterion cannot be rejected (Fieller 1954), and open where the
range of the scan ends first.

A criterion may be met at several scales, as where V_B grows up to some scale and falls beyond it:
the neutral scale is the first at which it rises, and the others are kept with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.optimize import root_scalar
from scipy.stats import norm

from analysis.scans.curves import Curve
from analysis.selection import transmission
from analysis.selection.draws import Sample
from analysis.selection.intervals import LEVEL, THESE
from analysis.selection.variances import mean_square_variance

# The trait whose V_B defines the neutral scale.
TRAIT = "latent"
# Scales at which the criterion is tested, between neighbours of the scan.
_STEPS = 8


@dataclass(frozen=True)
class Neutral:
    """A neutral scale: `scale` is nan where there is none in the range scanned.

    `standard_error` is that of the scale to first order; `low` and `high` are the ends of the 90 %
    interval, 0 and infinite where it is open. `sign` is -1 where the criterion lies below the
    training set at every scale, +1 where above, 0 where it crosses. `falls` is true where the
    criterion falls through that of the training set as the scale grows; `others` are the further
    scales at which it is met, rising.
    """

    criterion: str
    scale: float
    standard_error: float
    low: float
    high: float
    sign: int
    target: str = THESE
    falls: bool = False
    others: tuple["Neutral", ...] = ()

    @property
    def direction(self) -> str:
        """`rises` or `falls`, empty where there is no scale."""
        return ("falls" if self.falls else "rises") if np.isfinite(self.scale) else ""

    @property
    def every(self) -> list["Neutral"]:
        """This scale and the others, in rising order."""
        return sorted((self, *self.others), key=lambda each: each.scale)


def by_variance(curve: Curve) -> Neutral | None:
    """Return the scale at which V_B equals that of the training set, averaged over components.

    None for a single prompt, or where V_B of either is unknown. Where images of the base model
    tell V_W of the training set, their error is in the interval.
    """
    if len(curve.samples[0].codes) < 2 or len(curve.parents.codes) < 2:
        return None
    parents, parents_variance = _parents_between(curve)
    if not np.isfinite(parents):
        return None

    def excess(scale: float) -> tuple[float, float]:
        value, variance = between(curve.at_scale(scale), curve.distinct)
        return value - parents, (variance + parents_variance) ** 0.5

    return _crossing("V_B", curve, excess)


def by_slope(curve: Curve) -> Neutral | None:
    """Return the scale at which the slope of prompt means on those of the training set is 1.

    None for fewer than three prompts, or where errors are unknown.
    """

    def excess(scale: float) -> tuple[float, float]:
        for estimate in transmission.slope(curve.at_scale(scale), curve.parents, "slope"):
            if estimate.target == THESE:
                half = (estimate.high - estimate.low) / 2
                return estimate.value - 1, half / _quantile()
        return np.nan, np.nan

    return _crossing("slope", curve, excess)


def passed_on(curve: Curve) -> float:
    """Return the slope of prompt means on those of the training set at the lowest scale, nan where
    it is unknown.

    Where it is far below 1, a model of images that it did not know has passed on little of them.
    The next generation learns images of that model instead, so that a chain's first generation does
    not foretell the rest.
    """
    sample = curve.at_scale(curve.scales[0])
    slopes = [e.value for e in transmission.slope(sample, curve.parents, "slope")]
    return slopes[0] if slopes else float("nan")


def between(sample: Sample, separated: bool) -> tuple[float, float]:
    """Return V_B averaged over components, and its variance over images of these prompts.

    With S^2 the variance of the prompt means of n_c images each (ddof 1) and V_W pooled within
    prompts, V_B = S^2 - V_W mean(1/n_c) where `separated`. Else it is as moments.csv has it,
    S^2 with n_c the images of the chain alone: replicates add precision,
    V_B = S^2 + V_W [mean(1/n_c of the chain) - mean(1/n_c)]. nan where unknown.
    """
    C = len(sample.codes)
    centred = sample.means - sample.means.mean(axis=0)
    value = float(np.square(centred).mean(axis=1).sum()) / (C - 1)
    if not sample.freedom:
        return (np.nan, np.nan) if separated else (value, np.nan)
    per_image = [float((1 / s.sizes).mean()) for s in (sample, sample.realised())]
    value -= sample.within * (per_image[0] if separated else per_image[0] - per_image[1])
    return value, mean_square_variance(centred, sample) / (C - 1) ** 2


def _parents_between(curve: Curve) -> tuple[float, float]:
    """Return V_B of the training set and the variance of its error."""
    if not curve.distinct:
        return between(curve.parents, False)[0], 0.0
    if curve.parents_within is None or not curve.parents_within.freedom:
        return np.nan, np.nan
    variance = curve.parents.values.var(axis=0, ddof=1)
    base = curve.parents_within
    pooled = np.square(base.deviations).sum(axis=0) / base.freedom
    # As moments.csv has it: V_W of a component is at most its variance.
    V_W = np.minimum(pooled, variance)
    return float((variance - V_W).mean()), base.within_variance()


def _crossing(
    criterion: str, curve: Curve, excess: Callable[[float], tuple[float, float]]
) -> Neutral | None:
    """Return the first scale at which a criterion rises through 0 (or, where it never does, falls),
    with its interval and the other scales at which the criterion is 0.

    `excess` gives the criterion and its standard error.
    """
    scales = curve.positive
    if not scales:
        return None
    fine = _between(scales)
    values, errors = np.transpose([excess(float(w)) for w in fine])
    if not (np.isfinite(values).all() and np.isfinite(errors).all()):
        return None
    turns = np.flatnonzero((values[:-1] < 0) != (values[1:] < 0))
    accepted = np.abs(values) <= _quantile() * errors
    if not len(turns):
        sign = int(np.sign(np.median(values)))
        edge = len(fine) - 1 if sign < 0 else 0
        ends = _ends(fine, accepted, edge) if accepted[edge] else (np.nan, np.nan)
        return Neutral(criterion, np.nan, np.nan, *ends, sign)

    def crossing(i: int) -> Neutral:
        scale = _root(lambda w: excess(w)[0], float(fine[i]), float(fine[i + 1]))
        steepness = (values[i + 1] - values[i]) / (fine[i + 1] - fine[i])
        error = float(excess(scale)[1] / abs(steepness))
        nearest = i if accepted[i] else i + 1
        ends = _ends(fine, accepted, nearest) if accepted[nearest] else (scale, scale)
        low, high = _refined(excess, ends, fine)
        return Neutral(criterion, scale, error, low, high, 0, falls=bool(steepness < 0))

    every = [crossing(int(i)) for i in turns]
    first = next((each for each in every if not each.falls), every[0])
    return replace(first, others=tuple(each for each in every if each is not first))


def _between(scales: tuple[float, ...]) -> np.ndarray:
    """Return the scales and `_STEPS` - 1 more between neighbours, equally spaced in ln w."""
    parts = [np.geomspace(a, b, _STEPS, endpoint=False) for a, b in pairwise(scales)]
    fine = np.concatenate([*parts, [scales[-1]]])
    # A power may miss a scale of the scan by rounding.
    fine[::_STEPS] = scales
    return fine


def _ends(fine: np.ndarray, accepted: np.ndarray, inside: int) -> tuple[float, float]:
    """Return the ends of the run of accepted scales around one; open ones are 0 and infinite."""
    left = right = inside
    while left > 0 and accepted[left - 1]:
        left -= 1
    while right < len(fine) - 1 and accepted[right + 1]:
        right += 1
    low = 0.0 if left == 0 else float(fine[left])
    return low, float("inf") if right == len(fine) - 1 else float(fine[right])


def _refined(
    excess: Callable[[float], tuple[float, float]], ends: tuple[float, float], fine: np.ndarray
) -> tuple[float, float]:
    """Move the ends of an interval to where the test rejects, between two tested scales."""

    def margin(scale: float) -> float:
        value, error = excess(scale)
        return abs(value) - _quantile() * error

    low, high = ends
    if low > 0:
        outer = float(fine[fine < low][-1])
        low = _root(margin, outer, low)
    if np.isfinite(high):
        outer = float(fine[fine > high][0])
        high = _root(margin, high, outer)
    return low, high


def _root(function: Callable[[float], float], a: float, b: float) -> float:
    if function(a) * function(b) > 0:
        return a if abs(function(a)) < abs(function(b)) else b
    return float(root_scalar(function, bracket=(a, b), method="brentq").root)


def _quantile() -> float:
    return float(norm.ppf((1 + LEVEL) / 2))


def sentence(neutral: Neutral | None, scales: tuple[float, ...]) -> str:
    """Return the line that a scan ends with."""
    head = "neutral guidance scale:"
    if neutral is None:
        return (
            f"{head} unknown, because it takes two prompts or more, and where most captions are of "
            f"one image, replicates of them at every scale and of the base model"
        )
    if np.isfinite(neutral.scale):
        others = "".join(
            f"; {_described(each, scales)}, where the differences between prompts "
            f"{'fall' if each.falls else 'rise'} to those of the training set"
            for each in neutral.others
        )
        falling = ", above which prompts differ less than in the training set"
        return f"{head} {_described(neutral, scales)}{falling * neutral.falls}{others}"
    least, most = scales[0], scales[-1]
    reach = (
        f"none between {least:g} and {most:g}" if least < most else f"not {least:g}, the only one"
    )
    less = "less" if neutral.sign < 0 else "more"
    return f"{head} {reach}: prompts differ {less} than in the training set throughout"


def _described(neutral: Neutral, scales: tuple[float, ...]) -> str:
    """Return a scale with its interval, in words."""
    low = f"below {scales[0]:g}" if neutral.low == 0 else f"{neutral.low:.2f}"
    high = f"above {scales[-1]:g}" if np.isinf(neutral.high) else f"{neutral.high:.2f}"
    return f"{neutral.scale:.2f} (90 %: {low} to {high})"
