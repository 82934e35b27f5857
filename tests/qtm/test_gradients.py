"""Slopes through many generations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import qtm

UNIT = qtm.Moments(mean=0.0, variance=1.0)
MUTATE = qtm.GaussianMutation(0.05)
BASE = {"base_mean": 0.2, "base_variance": 1.1}

CYCLES = {
    "stabilizing": qtm.LifeCycle(qtm.Regression(0.9, **BASE), qtm.Stabilizing(1.0, 3.0), MUTATE),
    "soft truncation": qtm.LifeCycle(
        qtm.Regression(0.8, **BASE), qtm.SoftTruncation(0.6, 0.7), MUTATE, size=40
    ),
    "ddim": qtm.LifeCycle(
        qtm.Regression(0.7, **BASE), qtm.Guidance(1.4, qtm.Moments(0.1, 1.5)), MUTATE
    ),
    "ddpm": qtm.LifeCycle(
        qtm.Regression(0.7, **BASE), qtm.Guidance(1.4, qtm.Moments(0.1, 1.5), "ddpm"), MUTATE
    ),
    "infinitesimal": qtm.LifeCycle(qtm.Infinitesimal(1.0, 0.5), qtm.Stabilizing(1.0, 3.0), MUTATE),
    "refit": qtm.LifeCycle(
        qtm.Refit(ddof=1, inflow=0.2, fresh=UNIT), qtm.Directional(0.1), MUTATE, size=30
    ),
}


@pytest.mark.parametrize("name", CYCLES)
def test_a_hundred_generations_differentiate(name):
    """In every parameter and the moments of generation 0, against central differences."""
    x, unravel = ravel_pytree((CYCLES[name], qtm.Moments(0.3, 0.9)))

    @jax.jit
    def f(x):
        cycle, state = unravel(x)
        path = qtm.evolve(cycle, state, 100)
        return jnp.mean(path.mean) + jnp.mean(jnp.log(path.variance)) + path.variance[-1]

    slope = jax.jit(jax.grad(f))(x)
    h = 1e-5
    central = np.array([(f(x + h * e) - f(x - h * e)) / (2 * h) for e in jnp.eye(x.size)])
    np.testing.assert_allclose(slope, central, rtol=1e-5, atol=1e-7)
    assert np.abs(slope).max() > 1e-2


def test_a_hundred_generations_of_random_drift_differentiate():
    """Draws are functions of the parameters: the same key gives the same path."""
    cycle = CYCLES["stabilizing"]

    @jax.jit
    def last(width2):
        drifting = qtm.LifeCycle(cycle.inheritance, qtm.Stabilizing(1.0, width2), MUTATE, size=20)
        return qtm.evolve(drifting, UNIT, 100, key=jax.random.key(3)).variance[-1]

    central = (last(3.0 + 1e-5) - last(3.0 - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(last)(3.0), central, rtol=1e-6)
