"""Drift: what refitting, or resampling, N individuals does without and with selection."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from scipy.special import digamma

import qtm

UNIT = qtm.Moments(mean=0.0, variance=1.0)


def test_expected_drift_without_a_key():
    """E[V_t] = V_0 (1 - 1/N)^t."""
    path = qtm.evolve(qtm.LifeCycle(size=25), UNIT, generations=10)
    np.testing.assert_allclose(path.variance, 0.96 ** np.arange(11))
    assert jnp.all(path.mean == 0)


def replicates(start, N, generations, count):
    cycle = qtm.LifeCycle(size=N)
    run = jax.vmap(lambda key: qtm.evolve(cycle, start(key), generations, key=key))
    return run(jr.split(jr.key(11), count))


def within(samples, expected, sigmas=4.0):
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(axis=0) - expected) <= sigmas * error + 1e-12)


def test_drift_of_moments():
    """E[V_t], the sum rule E[V_t] + E[(m_t - m_0)^2] = V_0, and E ln V_t by the digamma function.

    A replicate's ln V falls by E ln(chi2_{N-1}/N) = digamma((N-1)/2) + ln(2/N) a generation. The
    logarithm is what tests the tail: the mean of V hides that nearly every replicate collapses.
    """
    N, t = 12, np.arange(9)
    path = replicates(lambda _: UNIT, N, 8, 4000)
    mean, variance = np.asarray(path.mean), np.asarray(path.variance)
    within(variance, (1 - 1 / N) ** t)
    within(variance + mean**2, 1.0)
    within(np.log(variance), t * (digamma((N - 1) / 2) + np.log(2 / N)))


def test_drift_of_individuals():
    """Resampled individuals lose the same expected variance as refitted moments."""
    N, t = 12, np.arange(5)
    fixed = qtm.Individuals.normal(jr.key(0), size=N)
    path = replicates(lambda _: fixed, N, 4, 3000)
    mean, variance = np.asarray(path.mean), np.asarray(path.variance)
    within(variance, fixed.variance * (1 - 1 / N) ** t)
    within(variance + (mean - fixed.mean) ** 2, fixed.variance)


def test_a_sample_of_one_has_no_variance():
    after = qtm.LifeCycle(size=1).step(UNIT, key=jr.key(0))
    assert after.variance == 0
    assert after.mean != 0


def test_selection_and_mutation_balance_refitting():
    """V = V_m/(1 - (1 - k)(1 - 1/N)) ; drift takes its share of the mutants too."""
    N, p, V_m = 50, 0.4, 0.2
    cycle = qtm.LifeCycle(selection=qtm.Truncation(p), mutation=qtm.GaussianMutation(V_m), size=N)
    k = 1 - qtm.Truncation(p).moments(UNIT).variance
    path = qtm.evolve(cycle, UNIT, generations=200)
    expected = V_m * (1 - 1 / N) / (1 - (1 - k) * (1 - 1 / N))
    np.testing.assert_allclose(path.variance[-1], expected, rtol=1e-12)
