"""Moments and individuals answer the questions of selection alike."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import qtm


def test_moments_share_one_shape():
    state = qtm.Moments(mean=[0.0, 1.0, 2.0], variance=[[1.0], [2.0]])
    assert state.mean.shape == state.variance.shape == (2, 3)


def test_moments_cdf_against_scipy():
    z = np.linspace(-40, 40, 81)
    state = qtm.Moments(mean=0.5, variance=4.0)
    norm = scipy.stats.norm(0.5, 2.0)
    np.testing.assert_allclose(state.cdf(z), norm.cdf(z), rtol=1e-11)
    np.testing.assert_allclose(state.below(z), norm.cdf(z), rtol=1e-11)
    np.testing.assert_allclose(state.above(z), norm.sf(z), rtol=1e-11)


def test_cdf_without_variance_is_a_step_and_has_finite_gradients():
    state = qtm.Moments(mean=1.0, variance=0.0)
    z = jnp.array([0.0, 1.0, 2.0])
    assert state.cdf(z).tolist() == [0, 1, 1]
    assert state.below(z).tolist() == [0, 0, 1]
    assert state.above(z).tolist() == [1, 0, 0]
    for at in z:
        slope = jax.grad(lambda V, at=at: qtm.Moments(1.0, V).cdf(at))(0.0)
        assert jnp.isfinite(slope)


def test_individuals_count_ties():
    state = qtm.Individuals([3.0, 1.0, 2.0, 2.0])
    z = jnp.array([0.5, 1.0, 2.0, 3.0, 9.0])
    assert state.cdf(z).tolist() == [0, 0.25, 0.75, 1, 1]
    assert state.below(z).tolist() == [0, 0, 0.25, 0.75, 1]
    assert state.above(z).tolist() == [1, 0.75, 0.25, 0, 0]
    assert state.cdf(2.0) == 0.75


def test_individuals_rank_each_trait_apart():
    values = np.random.default_rng(0).normal(size=(7, 2, 3))
    state = qtm.Individuals(values)
    expected = (values[None] <= values[:, None]).mean(axis=1)
    np.testing.assert_allclose(state.cdf(values), expected)
    assert state.cdf(0.0).shape == (2, 3)


def test_individuals_moments_have_divisor_n(agree):
    state = qtm.Individuals([1.0, 3.0])
    assert (state.mean, state.variance) == (2.0, 1.0)
    key = jax.random.key(0)
    drawn = qtm.Individuals.normal(key=key, mean=[1.0, 2.0], variance=3.0, size=20_000)
    assert drawn.values.shape == (20_000, 2)
    agree(drawn, qtm.Moments([1.0, 2.0], 3.0))


def test_states_are_pytrees():
    state = jax.vmap(qtm.Moments)(jnp.arange(3.0), jnp.ones(3))
    assert state.mean.shape == (3,)
    assert jax.jit(lambda s: s.cdf(0.0))(state).shape == (3,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.Moments(0, -1), "variance must be at least 0, got -1"),
        (lambda: qtm.Moments(0, [1, np.nan]), "variance must be at least 0, got nan"),
        (lambda: qtm.Moments([0, 0], [1, 1, 1]), r"shapes that broadcast, got \(2,\) and \(3,\)"),
        (lambda: qtm.Individuals(1.0), r"values must have shape \[N, ...\]"),
        (lambda: qtm.Individuals([]), r"values must have shape \[N, ...\]"),
        (lambda: qtm.Individuals.normal(jax.random.key(0), size=0), "size must be a whole number"),
        (lambda: qtm.Individuals.normal(jax.random.key(0), variance=-2), "variance must be"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
