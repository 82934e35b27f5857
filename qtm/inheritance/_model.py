"""Drawing individuals from a Gaussian model as selection leaves it."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from qtm._core.numerics import safe_sqrt
from qtm.selection import FitnessSelection, Neutral, Selection
from qtm.selection._base import survivors
from qtm.states import Individuals, Moments
from qtm.states._columns import by_column

_X = np.linspace(-12.0, 12.0, 8193)


def draw_from_model(
    model: Moments, selection: Selection, key: PRNGKeyArray, size: int
) -> Individuals:
    """`size` draws from N(m, V) after selection: the population that selection meets is infinite.

    Where selection does not make a Gaussian of a Gaussian, the density of the selected is inverted
    on a grid of 8193 nodes over 24 standard deviations; within a cell it is taken as even.
    """
    shape = model.mean.shape
    if isinstance(selection, Neutral) or not isinstance(selection, FitnessSelection):
        after = selection.moments(model)
        noise = jr.normal(key, (size, *shape))
        return Individuals(after.mean + safe_sqrt(after.variance) * noise)
    sd = safe_sqrt(model.variance)
    x = _X.reshape(-1, *[1] * len(shape)) * jnp.ones(shape)
    log_p = selection.log_fitness(model.mean + sd * x, model) - jnp.square(x) / 2
    C = jnp.cumsum(jax.nn.softmax(log_p, axis=0), axis=0)

    def invert(C: Array, u: Array) -> Array:
        u = u * C[-1]
        i = jnp.clip(jnp.searchsorted(C, u, side="right"), 0, len(C) - 1)
        before = jnp.where(i > 0, C[i - 1], 0.0)
        cell = jnp.where(C[i] > before, C[i] - before, 1.0)
        return jnp.asarray(_X)[i] + ((u - before) / cell - 0.5) * (_X[1] - _X[0])

    drawn = by_column(invert, C, jr.uniform(key, (size, *shape), dtype=jnp.float64))
    return Individuals(jnp.where(survivors(log_p), model.mean + sd * drawn, jnp.nan))
