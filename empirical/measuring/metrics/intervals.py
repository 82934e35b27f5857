"""Intervals of measures, by the delete-half jackknife.

Drawing with replacement, the usual bootstrap, is wrong here: it makes copies, which are near
neighbours at distance 0 for precision, recall, density and coverage, lower the Vendi score, and
double the bias of a Fréchet distance. Halves without replacement make none.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

from empirical.measuring.metrics.measures._base import Pair, Sample

RESAMPLES = 50
LEVEL = 1.96


def halves(pair: Pair, seed: int, resamples: int = RESAMPLES) -> Iterator[Pair]:
    """Draw pairs of half of the sample's and half of the reference's images, without replacement.

    The same seed gives the same halves. Fewer than 4 images yield none.
    """
    if min(len(pair.sample), len(pair.reference)) < 4:
        return
    draw = np.random.default_rng(seed)
    for _ in range(resamples):
        yield pair.take(_half(len(pair.sample), draw), _half(len(pair.reference), draw))


def halves_of_one(sample: Sample, seed: int, resamples: int = RESAMPLES) -> Iterator[Sample]:
    """Draw halves of a sample's images, without replacement; none of fewer than 4 images."""
    if len(sample) < 4:
        return
    draw = np.random.default_rng(seed)
    for _ in range(resamples):
        yield sample.take(_half(len(sample), draw))


def interval(
    value: float, of_halves: Float[np.ndarray, " halves"], size: int, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Return the 95 % interval value -+ 1.96 se, clipped to the measure's range; nan without se.

    se^2 is the variance of the measure over halves, times m/(n - m) where m of n images are drawn:
    the delete-half jackknife. For a mean over images that is exactly its standard error squared.
    It covers sampling error alone: the bias that a measure states stays in value and interval.
    In simulations (Gaussians, 120 images, 6 features, 60 replicates) se was 0.9 to 1.3 times the
    true error where the sets differ; where they are alike it was too large for Fréchet, KID and
    MMD, 1.7 to 1.9 times, because their error then falls as 1/n. Where prompts are the same in
    every generation it is slightly too large as well, because halves draw them unevenly. With 50
    halves, se itself is uncertain by a tenth.
    Source: Shao and Wu 1989, Annals of Statistics 17, 1176; Politis, Romano and Wolf 1999.
    """
    good = of_halves[np.isfinite(of_halves)]
    if not np.isfinite(value) or len(good) < 2:
        return float("nan"), float("nan")
    half = size // 2
    reach = LEVEL * good.std(ddof=1) * np.sqrt(half / (size - half))
    # The value itself stays inside, whatever the rounding.
    low, high = max(value - reach, bounds[0]), min(value + reach, bounds[1])
    return float(min(low, value)), float(max(high, value))


def _half(count: int, draw: np.random.Generator) -> Int[np.ndarray, " m"]:
    return np.sort(draw.permutation(count)[: count // 2])
