"""Fresh images are best weighted by the golden ratio: w = 0.618.

In every generation the mean is estimated from n fresh images and n images of the model before, with
the weights w and 1 - w. Its stationary risk, in units of the variance over n, is

    n R(w) = [w^2 + (1 - w)^2]/[1 - (1 - w)^2],

least at w = (sqrt(5) - 1)/2 = 0.618, the inverse of the golden ratio, where it is 0.618 as well.
The estimate is then better than from fresh images alone (1), or from both alike (2/3). In the life
cycle, finetuning that takes up the fraction 1 - w of the data of a model starts from "base" images
that are drawn anew in every generation.

    >>> import qtm
    >>> risk = qtm.results.result("golden_ratio").squared_errors([0.5, 0.618]).mean(axis=1)
    >>> bool(risk[1] < risk[0] < 1)
    True
"""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, average, curve, of_samples

SOURCE = "He, Xu & Cheng, arXiv 2502.18049"

# So many images that their variance is held, and that its drift is negligible.
_IMAGES, _GENERATIONS, _REPLICATES = 10_000, 12, 10_000
_BATCHES = 20
# Twelve generations leave (1 - w)^24 of the stationary risk out: 3e-6 at the least weight.
_WEIGHTS = np.linspace(0.4, 0.95, 45)


class FreshMean(eqx.Module):
    """The mean of n fresh images of N(0, 1), another one for every replicate and generation."""

    key: Key[Array, ""]

    def __call__(self, t: ArrayLike) -> Float[Array, " R"]:
        return jr.normal(jr.fold_in(self.key, t), (_REPLICATES,)) / math.sqrt(_IMAGES)


def squared_errors(weights: Any) -> Float[Array, "W R"]:
    """Return n (m - m_real)^2 of the model of every replicate, for weights `[W]`.

    The noise is the same for all weights, so that the simulated risk is smooth in them.
    """

    def errors(weight: Array) -> Array:
        inheritance = qtm.Regression(1 - weight, FreshMean(jr.key(0)), 1.0)
        start = qtm.Moments(jnp.zeros(_REPLICATES), 1.0)
        cycle = qtm.LifeCycle(inheritance, size=_IMAGES)
        images = qtm.evolve(cycle, start, _GENERATIONS, key=jr.key(1)).final
        model = qtm.LifeCycle(inheritance).step(images, generation=_GENERATIONS + 1)
        return _IMAGES * jnp.square(model.mean)

    return jax.jit(jax.vmap(errors))(jnp.asarray(weights))


def compute() -> Reproduction:
    """Simulate the risk at several weights, and find the weight of the least."""
    golden = (math.sqrt(5) - 1) / 2
    tried = np.append(_WEIGHTS, golden)
    errors = np.asarray(squared_errors(tried))
    batches = errors[:-1].reshape(len(_WEIGHTS), _BATCHES, -1).mean(axis=2)
    _, error = average([_least(batch) for batch in batches.T])
    risk, standard = average(errors)
    shown = slice(0, -1, 4)
    grid = np.linspace(0.36, 1.0, 65)
    return Reproduction(
        (
            Check("weight of least risk", _least(risk[:-1]), golden, standard_error=float(error)),
            of_samples("n R(0.618)", errors[-1], golden),
            of_samples("n R(0.95)", errors[-2], _risk(0.95)),
        ),
        Panel(
            "golden ratio",
            "weight of fresh images",
            "$n R$",
            (Series("", curve(grid, _risk(grid)), curve(tried[shown], risk[shown]),
                    standard[shown]),),
            level=golden,
        ),
    )  # fmt: skip


def _least(risk: Float[np.ndarray, " W"]) -> float:
    """Return the lowest point of the parabola through the three lowest neighbours."""
    i = int(np.clip(np.argmin(risk), 1, len(risk) - 2))
    left, middle, right = risk[i - 1 : i + 2]
    step = _WEIGHTS[1] - _WEIGHTS[0]
    return float(_WEIGHTS[i] + step * (left - right) / (2 * (left - 2 * middle + right)))


def _risk(w):
    return (w**2 + (1 - w) ** 2) / (1 - (1 - w) ** 2)
