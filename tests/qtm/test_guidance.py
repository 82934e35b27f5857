"""Guidance against an ODE solver, quadrature and special functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import hyp2f1

import qtm
from qtm.selection.guidance import ddim_response

UNIT = qtm.Moments(mean=0.0, variance=1.0)


def pairs():
    """(w, m_c, V_c, m_u, V_u), conditional narrower and wider than unconditional."""
    rng = np.random.default_rng(7)
    for w in (0.0, 0.4, 1.0, 2.5, 7.5):
        yield (w, *rng.normal(size=1), 0.4, *rng.normal(size=1), 1.3)
        yield (w, *rng.normal(size=1), 1.7, *rng.normal(size=1), 0.9)


@pytest.mark.parametrize("case", pairs())
def test_ddim_against_the_probability_flow_ode(case):
    """dx/dt = -(w s_c + (1 - w) s_u)/2 in the noise variance t, from t = inf to 0."""
    w, m_c, V_c, m_u, V_u = case

    def flow(s, y):  # in s = ln t, so that the integration can start at a very high noise
        t, (m, V) = np.exp(s), y
        slope = w / (V_c + t) + (1 - w) / (V_u + t)
        pull = w * m_c / (V_c + t) + (1 - w) * m_u / (V_u + t)
        return [t * (slope * m - pull) / 2, t * V * slope]

    low, high = np.log(1e-13), np.log(1e18)
    end = solve_ivp(flow, (high, low), [0.0, np.exp(high)], method="DOP853", rtol=1e-11, atol=1e-11)
    after = qtm.Guidance(w, qtm.Moments(m_u, V_u), "ddim").moments(qtm.Moments(m_c, V_c))
    np.testing.assert_allclose(after.mean, end.y[0, -1], atol=2e-8)
    np.testing.assert_allclose(after.variance, end.y[1, -1], rtol=1e-8)


@pytest.mark.parametrize("case", [c for c in pairs() if c[0] < 2 or c[2] < c[4]])
def test_tilt_against_quadrature(case):
    w, m_c, V_c, m_u, V_u = case
    after = qtm.Guidance(w, qtm.Moments(m_u, V_u), "tilt").moments(qtm.Moments(m_c, V_c))
    log_p = lambda z: -w * (z - m_c) ** 2 / (2 * V_c) - (1 - w) * (z - m_u) ** 2 / (2 * V_u)
    top = log_p(float(after.mean))
    p = lambda z, k: np.exp(log_p(z) - top) * (z - float(after.mean)) ** k
    total, first, second = (quad(p, -40, 40, args=(k,), points=[after.mean])[0] for k in range(3))
    assert abs(first / total) < 1e-8
    np.testing.assert_allclose(after.variance, second / total, rtol=1e-8)


def test_tilt_with_equal_variances_is_directional():
    """b = (w - 1)(m_c - m_u)/V."""
    tilt = qtm.Guidance(3.0, qtm.Moments(-1.0, 0.5), "tilt").moments(qtm.Moments(0.5, 0.5))
    directional = qtm.Directional(2.0 * 1.5 / 0.5).moments(qtm.Moments(0.5, 0.5))
    np.testing.assert_allclose(tilt.mean, directional.mean)
    np.testing.assert_allclose(tilt.variance, directional.variance)


@pytest.mark.parametrize("operator", ["tilt", "ddim"])
def test_scale_one_changes_nothing_and_scale_zero_is_unconditional(operator):
    state, unconditional = qtm.Moments(0.3, 0.6), qtm.Moments(-0.4, 1.2)
    for w, expected in ((1.0, state), (0.0, unconditional)):
        after = qtm.Guidance(w, unconditional, operator).moments(state)
        np.testing.assert_allclose(after.mean, expected.mean, rtol=1e-14)
        np.testing.assert_allclose(after.variance, expected.variance, rtol=1e-14)


def test_ddim_response_with_equal_variances_is_the_scale():
    w = jnp.array([-1.0, 0.0, 0.5, 1.0, 2.5, 7.5, 50.0])
    np.testing.assert_allclose(ddim_response(w, 0.7, 0.7), w, rtol=1e-13)


@pytest.mark.parametrize("r", [1e-8, 1e-4, 0.01, 0.3, 0.9])
@pytest.mark.parametrize("w", [0.3, 2.0, 7.5, 40.0])
def test_ddim_response_across_orders_of_magnitude(w, r):
    """A = w r^((w-1)/2) 2F1(1/2, (1-w)/2; 3/2; 1 - 1/r), in scipy where that converges."""
    slowest = quad(
        lambda q: (r + (1 - r) * q**2) ** ((w - 1) / 2), 0, 1, epsabs=0, epsrel=1e-12, limit=500
    )[0]
    np.testing.assert_allclose(ddim_response(w, r, 1.0), w * slowest, rtol=1e-9)
    if r > 0.1:
        series = w * r ** ((w - 1) / 2) * hyp2f1(0.5, (1 - w) / 2, 1.5, 1 - 1 / r)
        np.testing.assert_allclose(ddim_response(w, r, 1.0), series, rtol=1e-9)


def test_guided_collapsed_population_stays_where_it_is(quantiles):
    for operator in ("tilt", "ddim"):
        guidance = qtm.Guidance(4.0, UNIT, operator)
        after = guidance.moments(qtm.Moments(0.7, 0.0))
        assert (after.mean, after.variance) == (0.7, 0.0)
        images = guidance.individuals(qtm.Individuals([0.7, 0.7]), jax.random.key(0), 5)
        np.testing.assert_allclose(images.values, 0.7)


def test_ddim_moves_individuals_and_keeps_their_order():
    state = qtm.Individuals(jnp.arange(6.0))
    after = qtm.Guidance(2.0, qtm.Moments(0.0, 9.0)).individuals(state, jax.random.key(0), 500)
    assert jnp.unique(after.values.round(9)).size == 6


def test_tilt_without_precision_is_nan_inside_jit():
    f = jax.jit(lambda V: qtm.Guidance(3.0, UNIT, "tilt").moments(qtm.Moments(0.0, V)).variance)
    assert jnp.isnan(f(2.0))
    assert f(0.5) > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.Guidance(np.inf, UNIT), "scale must be finite, got inf"),
        (lambda: qtm.Guidance(2.0, UNIT, "ddpm"), "operator must be one of tilt, ddim, got 'ddpm'"),
        (
            lambda: qtm.Guidance(2.0, qtm.Moments(0, 0)),
            "unconditional variance must be greater than 0, got 0",
        ),
        (
            lambda: qtm.Guidance(3.0, UNIT, "tilt").moments(qtm.Moments(0, 2)),
            "tilt precision .* must be greater than 0, got -1",
        ),
        (
            lambda: qtm.Guidance(3.0, UNIT, "ddim").log_fitness(0.0, UNIT),
            "operator must be tilt to have a fitness, got 'ddim'",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
