"""90 % intervals of estimates, each with a target.

Two targets, which are not to be mixed: **these prompts**, whose images are drawn anew, and **a
population of prompts**, of which those at hand are a sample. Ten prompts say much of themselves and
little of others.

An estimate is linearised as a sum of influences u, one an image or one a prompt. Over images within
prompts

    Var = sum_c n_c s_c^2(u),   nu = Var^2 / sum_c [n_c s_c^2(u)]^2/(n_c + 1) - 2

(Satterthwaite 1946, of unbiased squares, so that one prompt has n_c - 1 degrees of freedom), and
over prompts Var = C s^2(U), U_c = sum_i u_ci, nu = C - 1. Variance components of few prompts take
the chi-square distribution of normal prompt means.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from analysis.selection.draws import Sample

LEVEL = 0.9
THESE = "these prompts"
POPULATION = "population of prompts"
# A variance of squares within a prompt takes more images than that of values does.
SQUARES = 8
# From this number of prompts on, their own scatter tells more than a normal distribution of them.
MANY = 50
_TAIL = (1 - LEVEL) / 2


@dataclass(frozen=True)
class Estimate:
    """A quantity with its 90 % interval and the target of the interval.

    low and high are nan, and target empty, where there is no interval. pair: the two components of
    an entry of a matrix, component: that of a vector, None for the trait as a whole.
    """

    quantity: str
    value: float
    low: float = np.nan
    high: float = np.nan
    target: str = ""
    component: int | None = None
    pair: int | None = None


Ends = tuple[float, float]


def over_images(u: Float[np.ndarray, " n"], sample: Sample) -> tuple[float, float]:
    """Return variance and degrees of freedom of sum u over images drawn anew within prompts.

    Prompts with one image take the pooled variance. nan where no prompt has two images.
    """
    n = sample.sizes
    if not sample.freedom:
        return np.nan, np.nan
    means = sample.by_prompt(u[:, None]) / n[:, None]
    squares = sample.by_prompt(np.square(u[:, None] - sample.over_images(means)))[:, 0]
    pooled = squares.sum() / sample.freedom
    parts = n * np.where(n > 1, squares / np.maximum(n - 1, 1), pooled)
    variance = float(parts.sum())
    # E[s^4] = sigma^4 (n + 1)/(n - 1) of a normal u: sigma^4/(n - 1) is s^4/(n + 1).
    spread = float((np.square(parts) / (n + 1))[n > 1].sum())
    if not spread > 0:
        return variance, np.inf
    return variance, max(variance**2 / spread - 2, float(n[n > 1].min()) - 1)


def over_prompts(U: Float[np.ndarray, " C"]) -> tuple[float, float]:
    """Return variance and degrees of freedom of sum U over prompts drawn anew; nan for one."""
    C = len(U)
    return (C * float(U.var(ddof=1)), C - 1.0) if C > 1 else (np.nan, np.nan)


def student(value: float, variance: float, freedom: float) -> Ends:
    """Return value +- t sqrt(variance)."""
    if not np.isfinite(variance):
        return np.nan, np.nan
    half = float(stats.t.ppf(1 - _TAIL, freedom)) * variance**0.5
    return value - half, value + half


def chi_square(value: float, variance: float) -> Ends:
    """Return the interval of a variance V whose estimate has `variance`: nu V/chi2_nu, with
    nu = 2 V^2/variance."""
    if not np.isfinite(variance) or value <= 0:
        return np.nan, np.nan
    if variance == 0:
        return value, value
    nu = 2 * value**2 / variance
    low, high = (float(nu * value / stats.chi2.ppf(p, nu)) for p in (1 - _TAIL, _TAIL))
    return low, high


def log_student(value: float, variance: float, freedom: float) -> Ends:
    """Return value exp(+- t sqrt(variance)/value), for a positive quantity."""
    if not np.isfinite(variance) or value <= 0:
        return np.nan, np.nan
    factor = float(np.exp(stats.t.ppf(1 - _TAIL, freedom) * variance**0.5 / value))
    return value / factor, value * factor


def root(value: float, ends: Ends) -> tuple[float, Ends]:
    """Return the square root of a mean square and of its ends, of 0 where they are negative."""
    low, high = (float(np.sqrt(np.maximum(end, 0.0))) for end in ends)
    return float(np.sqrt(max(value, 0.0))), (low, high)


def difference(first: float, nu_1: float, second: float, nu_2: float) -> Ends:
    """Return the interval of sigma_1^2 - sigma_2^2 from independent mean squares.

    Modified large samples (Ting, Burdick, Graybill, Jeyaratnam & Lu 1990; Burdick & Graybill 1992,
    section 3.3): exact where either variance is 0. The mean squares are distributed as
    sigma^2 chi2_nu/nu.
    """
    if not np.isfinite([first, nu_1, second, nu_2]).all():
        return np.nan, np.nan
    if second <= 0 or nu_2 <= 0:
        return chi_square(first, 2 * first**2 / nu_1)
    upper = lambda a, n, m: float(stats.f.ppf(1 - a, n, m))
    many = 1e8
    G1, G2 = (1 - 1 / upper(_TAIL, nu, many) for nu in (nu_1, nu_2))
    H1, H2 = (1 / upper(1 - _TAIL, nu, many) - 1 for nu in (nu_1, nu_2))
    F, f = upper(_TAIL, nu_1, nu_2), upper(1 - _TAIL, nu_1, nu_2)
    G12 = ((F - 1) ** 2 - G1**2 * F**2 - H2**2) / F
    H12 = ((1 - f) ** 2 - H1**2 * f**2 - G2**2) / f
    below = (G1 * first) ** 2 + (H2 * second) ** 2 + G12 * first * second
    above = (H1 * first) ** 2 + (G2 * second) ** 2 + H12 * first * second
    middle = first - second
    return middle - max(below, 0.0) ** 0.5, middle + max(above, 0.0) ** 0.5
