"""One generation, many generations, drift and keys."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import qtm

UNIT = qtm.Moments(mean=0.0, variance=1.0)
CYCLE = qtm.LifeCycle(
    inheritance=qtm.Regression(heritability=0.8, base_mean=-0.3, base_variance=1.2),
    selection=qtm.Truncation(fraction=0.5),
    mutation=qtm.GaussianMutation(variance=0.1),
)


def test_order_is_inherit_select_mutate_sample():
    after = qtm.LifeCycle(CYCLE.inheritance, CYCLE.selection, CYCLE.mutation, size=10).step(UNIT)
    state = CYCLE.inheritance.moments(UNIT)
    state = CYCLE.selection.moments(state)
    state = CYCLE.mutation.moments(state)
    np.testing.assert_allclose(after.mean, state.mean)
    np.testing.assert_allclose(after.variance, state.variance * 0.9)


def test_default_cycle_changes_nothing():
    path = qtm.evolve(qtm.LifeCycle(), UNIT, generations=3)
    assert path.mean.tolist() == [0.0] * 4
    assert path.variance.tolist() == [1.0] * 4


def test_evolve_repeats_step_and_records_generation_zero():
    path = qtm.evolve(cycle=CYCLE, state=UNIT, generations=5)
    state = UNIT
    for t in range(6):
        np.testing.assert_allclose(path.mean[t], state.mean, rtol=1e-12)
        np.testing.assert_allclose(path.variance[t], state.variance, rtol=1e-12)
        state = CYCLE.step(state)
    assert path.final.mean == path.mean[-1]
    assert qtm.evolve(CYCLE, UNIT, generations=0).mean.shape == (1,)


def test_evolve_settles_shapes():
    cycle = qtm.LifeCycle(
        selection=qtm.Truncation(0.5), mutation=qtm.GaussianMutation([0.1, 0.2, 0.3]), size=30
    )
    assert qtm.evolve(cycle, UNIT, generations=4).mean.shape == (5, 3)
    start = qtm.Individuals.normal(jr.key(0), mean=jnp.zeros(3), size=7)
    path = qtm.evolve(cycle, start, generations=4, key=jr.key(1))
    assert path.variance.shape == (5, 3)
    assert path.final.values.shape == (30, 3)


@pytest.mark.parametrize("kind", ["moments", "individuals"])
def test_a_longer_run_repeats_the_start_of_a_shorter_one(kind):
    cycle = qtm.LifeCycle(selection=qtm.Directional(0.2), size=20)
    start = UNIT if kind == "moments" else qtm.Individuals.normal(jr.key(0), size=20)
    short, long = (qtm.evolve(cycle, start, n, key=jr.key(4)) for n in (3, 8))
    np.testing.assert_array_equal(short.mean, long.mean[:4])
    np.testing.assert_array_equal(short.variance, long.variance[:4])
    other = qtm.evolve(cycle, start, 3, key=jr.key(5))
    assert jnp.all(other.mean[1:] != short.mean[1:])


def test_regression_has_its_fixed_point():
    """Under directional selection of a held variance, m = m_b + S/(1 - h)."""
    h, b, V = 0.7, 0.4, 1.3
    cycle = qtm.LifeCycle(qtm.Regression(h, 0.5, V), qtm.Directional(b))
    path = qtm.evolve(cycle, qtm.Moments(0.0, V), generations=120)
    np.testing.assert_allclose(path.mean[-1], 0.5 + b * V / (1 - h), rtol=1e-12)


def test_stabilizing_selection_balances_mutation():
    """V = V* + V_m with V* = V V_s/(V + V_s): V = [V_m + sqrt(V_m^2 + 4 V_m V_s)]/2 (Kimura)."""
    V_s, V_m = 4.0, 0.05
    cycle = qtm.LifeCycle(selection=qtm.Stabilizing(0.0, V_s), mutation=qtm.GaussianMutation(V_m))
    path = qtm.evolve(cycle, UNIT, generations=400)
    np.testing.assert_allclose(path.variance[-1], (V_m + np.sqrt(V_m**2 + 4 * V_m * V_s)) / 2)


def test_moving_optimum_is_followed_with_its_lag():
    """theta = k t, s = V/(V + V_s): lag (k/s)(1 - (1 - s)^t), V held by V_m."""
    k, V_s, V_m = 0.1, 5.0, 0.3
    V = (V_m + np.sqrt(V_m**2 + 4 * V_m * V_s)) / 2
    s, t = V / (V + V_s), np.arange(13)
    cycle = qtm.LifeCycle(
        selection=qtm.Stabilizing(optimum=lambda t: k * t, width2=V_s),
        mutation=qtm.GaussianMutation(V_m),
    )
    path = qtm.evolve(cycle, qtm.Moments(0.0, V), generations=12)
    # the optimum of generation t acts while it is produced, so the first step already sees k
    lag = k * (1 - s) / s * (1 - (1 - s) ** t)
    np.testing.assert_allclose(path.mean, k * t - lag, atol=1e-12)


class Line(eqx.Module):
    """A schedule that holds its slope, so the slope has a gradient."""

    slope: jax.Array

    def __call__(self, t):
        return self.slope * t


def test_schedules_differentiate_and_may_return_a_state():
    def last(slope):
        cycle = qtm.LifeCycle(selection=qtm.Stabilizing(Line(slope), 3.0))
        return qtm.evolve(cycle, UNIT, 4).mean[-1]

    slope = jnp.asarray(0.3)
    np.testing.assert_allclose(jax.grad(jax.jit(last))(slope), last(slope) / slope)
    moving = qtm.Guidance(2.0, lambda t: qtm.Moments(-0.1 * t, 1.0))
    path = qtm.evolve(qtm.LifeCycle(selection=moving), UNIT, 3)
    np.testing.assert_allclose(path.mean, [0, 0.1, 0.4, 1.1])


# Transformations and errors


def test_step_differentiates_through_jit_and_vmap():
    @jax.jit
    def f(cycle, mean):
        return jax.vmap(lambda m: cycle.step(qtm.Moments(m, 1.0)).mean)(mean).sum()

    gradient = jax.grad(f)(CYCLE, jnp.linspace(-1, 1, 5))
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    h = 1e-6
    bump = lambda e: eqx.tree_at(lambda c: c.selection.fraction, CYCLE, jnp.asarray(0.5 + e))
    mean = jnp.linspace(-1, 1, 5)
    central = (f(bump(h), mean) - f(bump(-h), mean)) / (2 * h)
    np.testing.assert_allclose(gradient.selection.fraction, central, rtol=1e-7)


def test_individuals_step_compiles():
    state = qtm.Individuals.normal(jr.key(0), size=30)
    after = jax.jit(lambda c, s, k: c.step(s, k))(CYCLE, state, jr.key(1))
    np.testing.assert_allclose(after.values, CYCLE.step(state, jr.key(1)).values)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.LifeCycle(size=0), "size must be a whole number of at least 1, got 0"),
        (lambda: qtm.LifeCycle(size=2.5), "size must be a whole number of at least 1, got 2.5"),
        (lambda: qtm.GaussianMutation(-1), "variance must be at least 0, got -1"),
        (lambda: qtm.Regression(1.2, 0, 1), "heritability must be between 0 and 1, got 1.2"),
        (lambda: qtm.Regression(0.5, np.nan, 1), "base_mean must be finite, got nan"),
        (lambda: qtm.Regression(0.5, 0, -1), "base_variance must be at least 0, got -1"),
        (lambda: qtm.evolve(CYCLE, UNIT, -1), "generations must be a whole number of at least 0"),
        (lambda: CYCLE.step(qtm.Individuals([1.0, 2.0])), "key must be given for Individuals"),
        (
            lambda: qtm.LifeCycle(selection=qtm.Directional(lambda t: t)).step(UNIT),
            "generation must be given where a parameter depends on it",
        ),
        (
            lambda: qtm.LifeCycle(selection=qtm.Directional([1.0, 2.0])).step(
                qtm.Individuals([1.0, 2.0]), jr.key(0)
            ),
            r"values must have shape \[N, ...\] with the trait axes \(2,\)",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
