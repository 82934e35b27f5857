"""Means that measured responses accumulate to."""

import jax.random as jr
import numpy as np
import pytest

import qtm
from qtm.cycle.means import accumulated


def test_responses_of_a_life_cycle_accumulate_to_its_means():
    """R_t = i sqrt(V) with V = (1 - h) V_b + h V_{t-1}, the variance that truncation meets."""
    h, V_b = 0.6, 1.4
    cycle = qtm.LifeCycle(qtm.Regression(h, 0.0, V_b), qtm.Truncation(0.5))
    path = qtm.evolve(cycle, qtm.Moments([0.0, 0.0], [1.0, 2.0]), 8)
    responses = np.sqrt(2 / np.pi) * np.sqrt((1 - h) * V_b + h * path.variance[:-1])
    np.testing.assert_allclose(accumulated(responses, h), path.mean, rtol=1e-12)


def test_noise_leaves_the_stationary_variance_of_its_regression():
    """e_t ~ N(0, 1) gives var m_t = (1 - h^2t)/(1 - h^2), within 4 standard errors."""
    h, N = np.array([0.0, 0.5, 0.9]), 4000
    noise = jr.normal(jr.key(2), (6, N, 3))
    path = accumulated(np.zeros((6, 1, 3)), h, noise)
    expected = (1 - h**12) / (1 - h**2)
    np.testing.assert_allclose(path[-1].var(axis=0), expected, rtol=4 * np.sqrt(2 / N))
    assert path.shape == (7, N, 3)


def test_a_model_takes_up_no_more_than_its_training_set():
    with pytest.raises(ValueError, match="heritability must be between 0 and 1"):
        accumulated([1.0], 1.1)
