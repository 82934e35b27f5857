"""Compare two fits to the same data: the difference, and its sampling error."""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from scipy.stats import chi2

from analysis.arms.design import Design
from analysis.inference.likelihood import all_parameters, linked, pointwise, values_of
from analysis.inference.maximum import Maximum


@dataclass(frozen=True)
class Contest:
    """The difference between two fits.

    `gap` is half the difference of AICc, positive where the first is better; `error` its standard
    error, sqrt(T) times the standard deviation of the T differences in log density of transitions;
    `likelihood` the difference in log likelihood, `parameters` that in their number.
    """

    gap: float
    error: float
    likelihood: float
    parameters: int

    @property
    def distinct(self) -> bool:
        """Whether the fits differ at all: twice the difference in log likelihood exceeds the 95 %
        quantile of chi^2 with one degree of freedom per additional parameter, at least 1. Where one
        model contains the other and its extra parameters are idle, the gap is their penalty, which
        has no error and says nothing about the data."""
        degrees = max(abs(self.parameters), 1)
        return 2 * abs(self.likelihood) > chi2.ppf(0.95, degrees)

    @property
    def tie(self) -> bool:
        """Whether the data do not decide: the fits are not distinct, or the gap is below two
        standard errors (Vuong 1989, Econometrica 57:307-333)."""
        return not self.distinct or abs(self.gap) < 2 * self.error


def densities(fitted: Maximum, design: Design) -> Float[np.ndarray, " T"]:
    """Return the log density of each seen transition [T], its three quantities together."""
    model = fitted.model
    values = values_of(all_parameters(model, design.components), jnp.asarray(fitted.x))
    each = np.asarray(pointwise(model.general, values, linked(model, design))).sum(axis=2)
    return each[np.asarray(design.seen) > 0]


def contest(first: Maximum, second: Maximum, design: Design) -> Contest:
    """Compare two fits to the same design."""
    difference = densities(first, design) - densities(second, design)
    error = np.sqrt(len(difference)) * difference.std(ddof=1) if len(difference) > 1 else np.inf
    gap = (second.aicc - first.aicc) / 2
    return Contest(
        float(gap) if np.isfinite(gap) else 0.0,
        float(error),
        float(difference.sum()),
        first.count - second.count,
    )
