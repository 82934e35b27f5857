"""Trait series drawn from a life cycle, for tests, verifications and power studies."""

from collections.abc import Mapping

import jax.random as jr
import numpy as np

import qtm
from analysis.trait_series.cycles import POPULATION_SIZE, cycle_models
from analysis.trait_series.series import TraitSeries


def draw_series(
    theory: str, values: Mapping[str, float], samples: int, n: int, seed: int
) -> TraitSeries:
    """Draw a series of `samples` generations, n normal individuals measured in each.

    `values` are those of the theory's parameters by name (`cycle_models`); with a
    ``population_size``, rounded to an integer, the population drifts.
    """
    model = cycle_models()[theory].variants()[0]
    cycle = model.cycle({name: np.float64(value) for name, value in values.items()})
    key = None
    if POPULATION_SIZE.name in values:
        size = round(values[POPULATION_SIZE.name])
        cycle = qtm.LifeCycle(selection=cycle.selection, mutation=cycle.mutation, size=size)
        key = jr.key(seed)
    start = qtm.Moments(values["start_mean"], values["start_variance"])
    path = qtm.evolve(cycle, start, samples - 1, key)
    mean, variance = np.asarray(path.mean), np.asarray(path.variance)
    rng = np.random.default_rng(seed)
    return TraitSeries(
        np.arange(samples, dtype=float),
        mean + np.sqrt(variance / n) * rng.normal(size=samples),
        variance * rng.chisquare(n - 1, samples) / (n - 1),
        np.full(samples, float(n)),
    )
