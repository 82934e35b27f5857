"""Tables of the fits of a series."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from analysis.trait_series.series import TraitSeries, variance_test
from analysis.trait_series.walk_fit import SeriesFit


def walk_table(fits: Sequence[SeriesFit]) -> pd.DataFrame:
    """Return a row for each model: model, log_likelihood, parameters, aicc, weight, at_bound.

    AICc is missing (NaN) where the series is too short for the model; `at_bound` names parameters
    at an end of their range.
    """
    return pd.DataFrame(
        {
            "model": fit.model,
            "log_likelihood": fit.log_likelihood,
            "parameters": len(fit.values),
            "aicc": fit.aicc if np.isfinite(fit.aicc) else np.nan,
            "weight": fit.weight,
            "at_bound": ", ".join(fit.at_bound),
        }
        for fit in fits
    )


def estimates(fits: Sequence[SeriesFit]) -> list[str]:
    """Return the estimates of each model as text, with a star at those at a bound."""
    return [
        ", ".join(
            f"{name} {value:.4g}{'*' if name in fit.at_bound else ''}"
            for name, value in fit.values.items()
        )
        for fit in fits
    ]


def description(s: TraitSeries) -> str:
    """Describe a series in one line, with a test of equal variances."""
    few, many = s.n.min(), s.n.max()
    size = f"n {few:.0f}" if few == many else f"n {few:.0f} to {many:.0f}"
    pooled = "pooled" if s.pool else "each sample's own"
    if not s.pool and s.lone.any():
        pooled += f" (the pooled one for {s.lone.sum()} of one individual or variance 0)"
    line = (
        f"{len(s.time)} samples, times {s.time[0]:g} to {s.time[-1]:g}, {size}, variances {pooled}"
    )
    test = variance_test(s)
    if test is None:
        return f"{line}; too few of them to test whether they are equal"
    left = f", {test.left_out} samples left out" if test.left_out else ""
    return (
        f"{line}; Bartlett's test that they are equal: chi-squared {round(test.statistic, 4):.4g}, "
        f"{test.freedom} df, p = {test.p_value:.3g}{left}"
    )
