"""Sampled at a temperature, a closed loop dies: by cold to one mode, by heat to uniformity.

A model that samples p^(1/T) and learns it again multiplies all log odds by 1/T in a generation, and
the variance of a Gaussian by T:

    ln(p_i/p_j) -> T^-t ln(p_i/p_j),   V_t = V_0 T^t.

Below T = 1 the most frequent category takes all, above it all become alike. With the fraction a of
fresh data in each training set a Gaussian comes to rest, as long as (1 - a) T < 1, at

    V = a V_0/[1 - (1 - a) T],

and above that threshold it grows without bound. (Its recursion has T as the bias of `qtm.Refit`.)
The limits are derived here, for Gaussians; the source has the general statement.

    >>> import qtm
    >>> hot = qtm.Refit(bias=1.2, inflow=0.3, fresh=qtm.Moments(0.0, 1.0))
    >>> rest = qtm.equilibrium(qtm.LifeCycle(hot), qtm.Moments(0.0, 1.0))
    >>> print(f"{rest.variance:.4f}")
    1.8750
"""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, curve, of_samples

SOURCE = "Marchi, Soatto, Chaudhari & Tabuada, arXiv 2404.02325"

_COLD, _HOT, _FRESH, _GENERATIONS = 0.8, 1.25, 0.3, 8
# Two categories of images, and populations of them.
_IMAGES, _REPLICATES, _FREQUENCY = 2_000, 200, 0.55


def at_temperature(temperature: float) -> qtm.Fitness:
    """Return sampling of p^(1/T) as selection that depends on frequency: fitness p^(1/T - 1)."""

    def log_fitness(z: ArrayLike, population: qtm.Density | qtm.Individuals) -> Array:
        frequency = jnp.maximum(population.tied(z), 1e-300)
        return (1 / temperature - 1) * jnp.log(frequency)

    return qtm.Fitness(log_fitness)


def compute() -> Reproduction:
    """Sample densities and categories at two temperatures, and a Gaussian with fresh data."""
    checks, series = [], []
    t = np.arange(_GENERATIONS + 1)
    for label, T in (("cold", _COLD), ("hot", _HOT)):
        data = qtm.Density.normal(0.0, 1.0, -28.0, 28.0, 1025)
        V = qtm.evolve(qtm.LifeCycle(selection=at_temperature(T)), data, _GENERATIONS).variance
        series.append(Series(f"T = {T:g}", curve(t, T**t), curve(t, V)))
        checks.append(
            Check(f"V_8/V_0, {label}, T = {T:g}", float(V[-1]), T**_GENERATIONS, accuracy=1e-6)
        )
    fresh = qtm.Moments(0.0, 1.0)
    a, T = _FRESH, _HOT
    cycle = qtm.LifeCycle(qtm.Refit(bias=T, inflow=a, fresh=fresh))
    V = qtm.evolve(cycle, fresh, 200).variance
    limit = a / (1 - (1 - a) * T)
    law = limit + (1 - limit) * ((1 - a) * T) ** t
    series.append(Series(f"T = {T:g}, a = {a:g}", curve(t, law), curve(t, V[: len(t)])))
    checks.append(Check(f"V/V_0, T = {T:g}, a = {a:g}", float(V[-1]), limit, accuracy=1e-9))
    too_few = qtm.Refit(bias=T, inflow=0.15, fresh=fresh)
    grown = qtm.evolve(qtm.LifeCycle(too_few), fresh, 200).variance
    checks.append(
        Check(f"V_200/V_100, T = {T:g}, a = 0.15", float(grown[200] / grown[100]), above=10.0)
    )

    labels = np.arange(_IMAGES)[:, None] < _FREQUENCY * _IMAGES
    images = qtm.Individuals(jnp.asarray(np.broadcast_to(labels, (_IMAGES, _REPLICATES)), float))
    for T, steps in ((_COLD, 2), (_HOT, 2)):
        cycle = qtm.LifeCycle(selection=at_temperature(T))
        p = np.asarray(qtm.evolve(cycle, images, steps, jr.key(round(100 * T))).mean[-1])
        odds = np.log(p / (1 - p))
        law = T**-steps * np.log(_FREQUENCY / (1 - _FREQUENCY))
        # A logarithm of frequencies is biased by their variance, about 1/N.
        checks.append(
            of_samples(f"log odds of two categories, t = {steps}, T = {T:g}", odds, float(law),
                       accuracy=2 / _IMAGES)
        )  # fmt: skip
    return Reproduction(
        tuple(checks),
        Panel("temperature", "generation", "$V_t/V_0$", tuple(series), logarithmic="y"),
    )
