"""The infinitesimal model: breeding values that selection sees through an environment."""

import jax.random as jr
import numpy as np
import pytest

import qtm

V_A0, V_E = 1.3, 0.7
MODEL = qtm.Infinitesimal(genic_variance=V_A0, environmental_variance=V_E)


def test_truncation_has_bulmers_recursion_and_equilibrium():
    """V_A' = V_A (1 - k h^2)/2 + V_a/2; at rest, with h0^2 = V_a/(V_a + V_E),
    h^2 = [-1 + sqrt(1 + 4 h0^2 k (1 - h0^2))]/(2 k (1 - h0^2)), V_A = V_E h^2/(1 - h^2)
    (Bulmer 1971)."""
    selection = qtm.Truncation(0.2)
    k = 1 - selection.moments(qtm.Moments(0, 1)).variance
    path = qtm.evolve(qtm.LifeCycle(MODEL, selection), qtm.Moments(0.0, V_A0), 60)
    at_birth = MODEL.moments(qtm.Moments(path.mean, path.variance)).variance
    h2 = at_birth / (at_birth + V_E)
    np.testing.assert_allclose(
        at_birth[1:], (at_birth * (1 - k * h2))[:-1] / 2 + V_A0 / 2, rtol=1e-12
    )
    h02 = V_A0 / (V_A0 + V_E)
    held = (-1 + np.sqrt(1 + 4 * h02 * k * (1 - h02))) / (2 * k * (1 - h02))
    np.testing.assert_allclose(at_birth[-1], V_E * held / (1 - held), rtol=1e-12)


def test_stabilizing_selection_has_its_equilibrium():
    """V_A = [V_a - V_s + sqrt((V_a - V_s)^2 + 8 V_a V_s)]/4, V_s = omega^2 + V_E (Bulmer 1971)."""
    omega2 = 3.0
    cycle = qtm.LifeCycle(MODEL, qtm.Stabilizing(0.5, omega2))
    V_s = omega2 + V_E
    V_A = (V_A0 - V_s + np.sqrt((V_A0 - V_s) ** 2 + 8 * V_A0 * V_s)) / 4
    path = qtm.evolve(cycle, qtm.Moments(0.0, V_A0), 80)
    held = qtm.equilibrium(cycle, qtm.Moments(0.0, V_A0))
    for state in (qtm.Moments(path.mean[-1], path.variance[-1]), held):
        np.testing.assert_allclose(MODEL.moments(state).variance, V_A, rtol=1e-10)
        np.testing.assert_allclose(state.mean, 0.5, atol=1e-8)


def test_breeders_equation():
    """R = h^2 S: the mean of offspring moves by the heritable part of the differential."""
    state = qtm.Moments(0.2, V_A0)
    selection = qtm.Truncation(0.3)
    S = selection.moments(qtm.Moments(0.2, V_A0 + V_E)).mean - 0.2
    after = qtm.LifeCycle(MODEL, selection).step(state)
    np.testing.assert_allclose(after.mean - 0.2, V_A0 / (V_A0 + V_E) * S, rtol=1e-12)


@pytest.mark.parametrize(
    "seen",
    [
        qtm.Truncation(0.3),
        qtm.Stabilizing(0.5, 3.0),
        qtm.Directional(0.3),
        qtm.Guidance(1.5, qtm.Moments(0.0, 3.0)),
    ],
    ids=lambda form: type(form).__name__,
)
def test_three_resolutions_agree(seen, quantiles, agree):
    cycle = qtm.LifeCycle(MODEL, seen)
    start = quantiles(0.2, V_A0)
    moments = cycle.step(qtm.Moments(0.2, V_A0))
    agree(cycle.step(start, jr.key(4)), moments)
    density = qtm.Density.normal(0.2, V_A0, -24.0, 24.0)
    if isinstance(seen, qtm.Guidance):
        with pytest.raises(ValueError, match="selection must be by fitness for a density"):
            cycle.step(density)
        return
    after = cycle.step(density)
    tolerance = 1e-4 if isinstance(seen, qtm.Truncation) else 1e-8
    np.testing.assert_allclose(after.mean, moments.mean, atol=tolerance, rtol=0)
    np.testing.assert_allclose(after.variance, moments.variance, atol=tolerance, rtol=0)


def test_drift_takes_genic_variance():
    """V_a' = V_a (1 - 1/(2 N_e)) + V_m, as a function of the generation."""
    N_e, V_m = 20, 0.02
    rest = 2 * N_e * V_m
    genic = lambda t: rest + (V_A0 - rest) * (1 - 1 / (2 * N_e)) ** t
    cycle = qtm.LifeCycle(qtm.Infinitesimal(genic, V_E))
    path = qtm.evolve(cycle, qtm.Moments(0.0, V_A0), 30)
    V_a, V_A = V_A0, V_A0
    for t in range(1, 31):
        V_a = V_a * (1 - 1 / (2 * N_e)) + V_m
        V_A = (V_A + V_a) / 2
        np.testing.assert_allclose(path.variance[t], V_A, rtol=1e-12)
