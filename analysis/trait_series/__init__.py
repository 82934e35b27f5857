"""Trait time series of others: read them, and fit random walks, stasis and Ornstein-Uhlenbeck.

A series has a mean, a variance and a number of individuals at each time, and knows nothing of
families: fossils, another laboratory's chain. Times are generations and need not be even.
"""

from analysis.trait_series.series import TraitSeries, series
from analysis.trait_series.table import read_csv, read_paleots
from analysis.trait_series.walks import (
    MODELS,
    SeriesFit,
    fit_series,
    log_likelihood,
    moments,
    stepwise_log_likelihood,
)

__all__ = [
    "MODELS",
    "SeriesFit",
    "TraitSeries",
    "fit_series",
    "log_likelihood",
    "moments",
    "read_csv",
    "read_paleots",
    "series",
    "stepwise_log_likelihood",
]
