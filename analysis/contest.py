"""Which of two fits explains the same data better, and whether by more than sampling error."""

import jax.numpy as jnp
import numpy as np

from analysis.design import Design
from analysis.likelihood import all_parameters, linked, pointwise, values_of
from analysis.maximum import Maximum


def densities(fitted: Maximum, design: Design) -> np.ndarray:
    """Return the log density of each seen transition [T], its three quantities together."""
    model = fitted.model
    values = values_of(all_parameters(model, design.components), jnp.asarray(fitted.x))
    each = np.asarray(pointwise(model.general, values, linked(model, design))).sum(axis=2)
    return each[np.asarray(design.seen) > 0]


def against(one: Maximum, other: Maximum, design: Design) -> tuple[float, float]:
    """Return by how much one fit is better than another, and the standard error of that.

    The gap is half the difference of AICc; positive where `one` is better. Its standard error is
    sqrt(T) times the standard deviation of the T differences in log density (Vuong 1989).
    Below two standard errors it is a tie.
    """
    difference = densities(one, design) - densities(other, design)
    error = np.sqrt(len(difference)) * difference.std(ddof=1) if len(difference) > 1 else np.inf
    gap = (other.aicc - one.aicc) / 2
    return (float(gap) if np.isfinite(gap) else 0.0), float(error)
