"""Guidance against an ODE solver, quadrature and special functions."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.special import hyp2f1

import qtm
from qtm.selection.guidance import ddim_response, transport

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


def decay(sigma):
    return 1 + 4 * sigma / (1 + sigma)


def interval(sigma):
    return jnp.where((sigma > 0.3) & (sigma < 2.0), 5.0, 1.0)


SCHEDULES = {
    "constant": qtm.ByNoise(lambda sigma: 2.5),
    "decay": qtm.ByNoise(decay),
    "interval": qtm.ByNoise(interval, breaks=[2.0, 0.3]),
}


@pytest.mark.parametrize("operator", ["ddim", "ddpm"])
@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("V_c", [0.4, 1.7])
def test_schedules_against_the_equations_of_the_samplers(name, operator, V_c):
    """Moments of dx = -(1/2) score dt (Song et al. 2021) or, with new noise, dx = -score dt + dW,
    in the noise variance t from inf to 0, integrated in pieces between the breaks."""
    m_c, m_u, V_u, schedule = 0.7, -0.4, 1.3, SCHEDULES[name]
    k = 1.0 if operator == "ddpm" else 0.5

    def flow(s, y):
        t, (m, log_V) = np.exp(s), y
        w = float(schedule.scale.value(np.exp(s / 2)))
        rate = w / (V_c + t) + (1 - w) / (V_u + t)
        pull = w * m_c / (V_c + t) + (1 - w) * m_u / (V_u + t)
        new = t / np.exp(log_V) if operator == "ddpm" else 0.0
        return [t * k * (rate * m - pull), 2 * t * k * rate - new]

    jumps = [2 * np.log(b) for b in (2.0, 0.3)]
    ends = [np.log(1e18), *jumps, np.log(1e-13)]
    y = [0.0, ends[0]]
    for start, stop in itertools.pairwise(ends):
        inside = 1e-9  # a jump belongs to neither side
        y = solve_ivp(
            flow, (start - inside, stop + inside), y, method="LSODA", rtol=1e-10, atol=1e-11
        ).y[:, -1]
    after = qtm.Guidance(schedule, qtm.Moments(m_u, V_u), operator).moments(qtm.Moments(m_c, V_c))
    np.testing.assert_allclose(after.mean, y[0], atol=1e-6)
    np.testing.assert_allclose(after.variance, np.exp(y[1]), rtol=1e-6)
    if name == "constant":
        exact = qtm.Guidance(2.5, qtm.Moments(m_u, V_u), operator).moments(qtm.Moments(m_c, V_c))
        np.testing.assert_allclose(after.mean, exact.mean, rtol=1e-10)
        np.testing.assert_allclose(after.variance, exact.variance, rtol=1e-10)


def test_ddpm_closed_forms_and_their_limits():
    """V = V_c^(2w) V_u^(2-2w) (r^(1-2w) - 1)/[(V_u - V_c)(2w - 1)], A = (1 - r^w)/(1 - r)."""
    V_u, w = 1.3, np.array([-0.5, 0.3, 0.5, 1.0, 2.5, 7.5])
    for V_c in (0.01, 0.4, 1.7, 5.0):
        r, odd = V_c / V_u, w != 0.5
        A, V = transport(w, V_c, V_u, "ddpm")
        np.testing.assert_allclose(A, (1 - r**w) / (1 - r), rtol=1e-12)
        v = w[odd]
        expected = V_c ** (2 * v) * V_u ** (2 - 2 * v) * (r ** (1 - 2 * v) - 1)
        np.testing.assert_allclose(V[odd], expected / ((V_u - V_c) * (2 * v - 1)), rtol=1e-12)
        np.testing.assert_allclose(V[2], -V_u * r * np.log(r) / (1 - r), rtol=1e-12)
    A, V = transport(w, V_u, V_u, "ddpm")
    np.testing.assert_allclose(A, w, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(V, V_u, rtol=1e-14)
    # continuous through r = 1, and finite where powers of r would overflow
    near = transport(w, V_u * (1 + np.array([[-1e-7], [1e-7]])), V_u, "ddpm")
    np.testing.assert_allclose(near[0] - w, 0, atol=1e-5)
    np.testing.assert_allclose(near[1], V_u, rtol=1e-5)
    A, V = transport(300.0, 1e-9, 1.0, "ddpm")
    np.testing.assert_allclose(A, 1.0, rtol=1e-8)
    np.testing.assert_allclose(V, 1e-9 / 599, rtol=1e-8)


def test_a_schedule_is_differentiable_and_may_change_by_generation():
    class Decay(eqx.Module):
        top: jax.Array

        def __call__(self, sigma):
            return 1 + self.top * sigma / (1 + sigma)

    def variance(top):
        guidance = qtm.Guidance(qtm.ByNoise(Decay(top)), UNIT)
        return jax.jit(lambda g: g.moments(qtm.Moments(0.2, 0.5)).variance)(guidance)

    x, h = jnp.asarray(3.0), 1e-5
    central = (variance(x + h) - variance(x - h)) / (2 * h)
    np.testing.assert_allclose(jax.grad(variance)(x), central, rtol=1e-7)
    cycle = qtm.LifeCycle(selection=qtm.Guidance(qtm.ByNoise(decay), lambda t: UNIT))
    assert qtm.evolve(cycle, qtm.Moments(0.2, 0.5), 3).variance[-1] < 0.01


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


@pytest.mark.parametrize("operator", ["tilt", "ddim", "ddpm"])
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
    for operator in ("tilt", "ddim", "ddpm"):
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
        (
            lambda: qtm.Guidance(2.0, UNIT, "euler"),
            "operator must be one of tilt, ddim, ddpm, got 'euler'",
        ),
        (
            lambda: qtm.Guidance(qtm.ByNoise(lambda s: s), UNIT, "tilt"),
            "operator must be ddim or ddpm for a scale by noise, got 'tilt'",
        ),
        (lambda: qtm.ByNoise(lambda s: s, breaks=[-1.0]), "breaks must be at least 0, got -1"),
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
