"""Trait time series of others: read them, and fit random walks, stasis and Ornstein-Uhlenbeck.

A series has a mean, a variance and a number of individuals at each time, and knows nothing of
families: fossils, another laboratory's chain. Times are generations and need not be even.
"""

from analysis.trait_series.results import comparison, description, estimates, parameters
from analysis.trait_series.series import TraitSeries, VarianceTest, series, variance_test
from analysis.trait_series.table import TIMES, read_csv, read_paleots
from analysis.trait_series.walk_fit import SeriesFit, fit_series, work
from analysis.trait_series.walks import (
    MODELS,
    log_likelihood,
    moments,
    stepwise_log_likelihood,
)

__all__ = [
    "MODELS",
    "TIMES",
    "SeriesFit",
    "TraitSeries",
    "VarianceTest",
    "comparison",
    "description",
    "estimates",
    "fit_series",
    "log_likelihood",
    "moments",
    "parameters",
    "read_csv",
    "read_paleots",
    "series",
    "stepwise_log_likelihood",
    "variance_test",
    "work",
]
