"""Metrics of a generation as a set of images, alone and against a reference.

`of_generation` computes every measure that applies, with intervals. The measures are one
file each in `empirical.measuring.metrics.measures`. Nothing here needs torch: inputs are features,
not images.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from empirical.measuring.metrics.generation import (
    GENERATION_0,
    HELD_OUT,
    PREVIOUS,
    TRAINING_SET,
    Measurement,
    measurements,
    of_generation,
    of_training_sets,
    summary,
)
from empirical.measuring.metrics.measures import accuracy as _accuracy
from empirical.measuring.metrics.measures import diversity as _diversity
from empirical.measuring.metrics.measures import every_measure
from empirical.measuring.metrics.measures import frechet as _frechet
from empirical.measuring.metrics.measures._base import Pair, Sample

__all__ = [
    "GENERATION_0",
    "HELD_OUT",
    "PREVIOUS",
    "TRAINING_SET",
    "Measurement",
    "Pair",
    "Sample",
    "accuracy",
    "diversity",
    "every_measure",
    "frechet",
    "measurements",
    "of_generation",
    "of_training_sets",
    "summary",
]


def frechet(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> float:
    """Return the squared Fréchet distance of the Gaussians fitted to features [n, d] and [m, d].

    Warns unless both samples exceed the dimension. See the measure ``frechet``.
    """
    pair = Pair(Sample(a), Sample(b))
    caution = _frechet.caution(pair)
    if caution:
        warnings.warn(caution, stacklevel=2)
    return _frechet.against(pair)


def diversity(features: Float[np.ndarray, "n d"], families: Sequence[str]) -> float:
    """Return the mean distance of two different images of one prompt, in features [n, d]; nan
    where no prompt has two. See `empirical.measuring.metrics.measures.diversity`."""
    return _diversity.alone(Sample(features, tuple(families)))


def accuracy(predicted: Sequence[str], captions: Sequence[str]) -> float:
    """Return the fraction of images whose predicted caption is the one they were made from."""
    nothing = np.zeros((len(captions), 0))
    return _accuracy.alone(Sample(nothing, tuple(captions), predicted=tuple(predicted)))
