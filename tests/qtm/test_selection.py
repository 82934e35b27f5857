"""Closed forms of selection against scipy, quadrature and an ODE solver."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import qtm

UNIT = qtm.Moments(mean=0.0, variance=1.0)


# Truncation: Bulmer (1971), x = Phi^-1(1 - p), i = phi(x)/p, k = i (i - x)


@pytest.mark.parametrize("fraction", [1e-6, 1e-3, 0.05, 0.3, 0.5, 0.8, 0.999])
@pytest.mark.parametrize("tail", ["upper", "lower"])
def test_truncation_against_truncnorm(fraction, tail):
    mean, sd = 1.5, 2.0
    after = qtm.Truncation(fraction, tail=tail).moments(qtm.Moments(mean, sd**2))
    x = scipy.stats.norm.isf(fraction)
    a, b = (x, np.inf) if tail == "upper" else (-np.inf, -x)
    expected = scipy.stats.truncnorm(a, b, loc=mean, scale=sd)
    np.testing.assert_allclose(after.mean, expected.mean(), rtol=1e-10)
    np.testing.assert_allclose(after.variance, expected.var(), rtol=1e-7)


def test_truncation_is_finite_and_monotone_from_one_in_a_trillion_to_all():
    p = jnp.concatenate([jnp.logspace(-12, -1, 200), jnp.linspace(0.11, 0.99, 200)])
    p = jnp.concatenate([p, 1 - jnp.logspace(-2.1, -12, 200), jnp.ones(1)])
    after = qtm.Truncation(p).moments(UNIT)
    assert jnp.all(jnp.diff(after.mean) < 0)
    assert jnp.all(jnp.diff(after.variance) > 0)
    assert (after.mean[-1], after.variance[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("fraction", [1e-300, 1e-12, 0.5, 1 - 1e-12, 1.0])
def test_truncation_gradients_are_finite(fraction):
    """di/dp = (x - i)/p; at p = 1 it is taken one float below."""

    def f(p):
        after = qtm.Truncation(p).moments(UNIT)
        return jnp.stack([after.mean, after.variance])

    slope = jax.jacrev(f)(fraction)
    assert jnp.all(jnp.isfinite(slope))
    x, i = scipy.stats.norm.isf(min(fraction, 1 - 2**-53)), f(fraction)[0]
    np.testing.assert_allclose(slope[0], (x - i) / fraction, rtol=1e-6)
    assert slope[1] > 0


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.25, 0.3, 0.7, 0.9, 1.0, 1e-9])
@pytest.mark.parametrize("tail", ["upper", "lower"])
def test_truncation_keeps_the_right_number_of_individuals(fraction, tail):
    state = qtm.Individuals(jnp.arange(10.0))
    fitness = qtm.Truncation(fraction, tail=tail).log_fitness(state.values, state)
    kept = int(np.ceil(np.round(fraction * 10, 6))) or 1
    assert int(jnp.sum(fitness == 0)) == kept
    ordered = fitness if tail == "upper" else fitness[::-1]
    assert jnp.all(ordered[10 - kept :] == 0)
    assert jnp.all(jnp.isneginf(ordered[: 10 - kept]))


def test_truncation_keeps_ties_together():
    state = qtm.Individuals([1.0, 2.0, 2.0, 2.0])
    after = qtm.Truncation(0.25).individuals(state, jax.random.key(0), 50)
    assert jnp.all(after.values == 2.0)


# Stabilizing and directional: Lande (1976)


def test_infinite_width_is_neutral():
    after = qtm.Stabilizing(optimum=5.0, width2=np.inf).moments(UNIT)
    assert (after.mean, after.variance) == (0.0, 1.0)


def test_directional_shifts_the_cumulants_of_any_distribution():
    """K*(q) = K(q + b) - K(b); for a gamma of shape a, K = -a ln(1 - q) on z >= 0."""
    a, b, N = 3.0, 0.3, 40_000
    z = scipy.stats.gamma(a).ppf((np.arange(N) + 0.5) / N)
    after = qtm.Directional(b).individuals(qtm.Individuals(z), jax.random.key(2), N)
    assert abs(after.mean - a / (1 - b)) < 4 * np.sqrt(a / (1 - b) ** 2 / N)


def test_fitness_far_below_zero_does_not_underflow():
    state = qtm.Individuals([0.0, 1.0, 2.0])
    after = qtm.Directional(-5000.0).individuals(state, jax.random.key(0), 20)
    assert jnp.all(after.values == 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.Truncation(0.0), r"fraction must be in \(0, 1\], got 0\."),
        (lambda: qtm.Truncation([0.5, 1.5]), r"fraction must be in \(0, 1\], got 1.5\."),
        (lambda: qtm.Truncation(0.5, tail="left"), "tail must be one of upper, lower, got 'left'"),
        (lambda: qtm.Stabilizing(0.0, 0.0), "width2 must be greater than 0, got 0"),
        (lambda: qtm.Stabilizing(np.inf, 1.0), "optimum must be finite, got inf"),
        (lambda: qtm.Directional(np.nan), "gradient must be finite, got nan"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
