"""Trait time series: read them, and fit walks of the mean and life cycles of mean and variance.

A series has a mean, a variance and a number of individuals at each time, without families: fossils
or another laboratory's chain, say. Times are generations and may be unevenly spaced.

    result = compare(read_csv(Path("series.csv")))
    result.comparison()
"""

from analysis.trait_series.comparison import SeriesResult, compare, steps
from analysis.trait_series.cycle_fit import CycleFit, fit_cycles
from analysis.trait_series.cycles import cycle_models
from analysis.trait_series.results import description, estimates, walk_table
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
    "CycleFit",
    "SeriesFit",
    "SeriesResult",
    "TraitSeries",
    "VarianceTest",
    "compare",
    "cycle_models",
    "description",
    "estimates",
    "fit_cycles",
    "fit_series",
    "log_likelihood",
    "moments",
    "read_csv",
    "read_paleots",
    "series",
    "steps",
    "stepwise_log_likelihood",
    "variance_test",
    "walk_table",
    "work",
]
