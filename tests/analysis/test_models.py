"""Models of experiments: their operators against exact theory, and what all of them must do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from analysis.arms.design import design
from analysis.arms.levels import SIGMA
from analysis.inference.likelihood import all_expected, all_parameters, linked, values_of
from analysis.models import EVERY_LINK, every_model
from analysis.models._transport import transport
from analysis.prediction.synthetic import draw_arms, vector
from qtm.selection.transport import (
    ddim_response,
    ddim_variance,
    ddpm_response,
    ddpm_variance,
)

MODELS = every_model()
THEORIES = {model.theory: model for model in MODELS.values()}


@pytest.mark.parametrize("operator", ["ddim", "ddpm"])
def test_transport_on_levels_is_that_of_exact_theory(operator):
    """Levels from far above the variances to far below: the integrals, to second order."""
    V_c, V_u = jnp.array([0.3, 0.7, 1.0]), jnp.array([1.0, 1.0, 1.0])
    noise = jnp.geomspace(1e8, 1e-6, 400)[:, None] * jnp.ones(3)
    exact = (ddim_response, ddim_variance) if operator == "ddim" else (ddpm_response, ddpm_variance)
    for w in (0.5, 1.0, 2.5, 7.5):
        A, V = transport(operator, jnp.full(400, w), noise, V_c, V_u)
        np.testing.assert_allclose(A, exact[0](w, V_c, V_u), rtol=2e-3)
        np.testing.assert_allclose(V, exact[1](w, V_c, V_u), rtol=2e-3)


def test_the_levels_of_a_sampler_are_fine_enough():
    """Twenty-four levels instead of four hundred: a few percent, below the process variance."""
    V_c, V_u, noise = jnp.array([0.68]), jnp.array([1.0]), jnp.asarray(SIGMA)[:, None] ** 2
    for w in (1.0, 2.5, 4.0):
        A, V = transport("ddim", jnp.full(len(SIGMA), w), noise, V_c, V_u)
        np.testing.assert_allclose(A, ddim_response(w, V_c, V_u), rtol=0.05)
        np.testing.assert_allclose(V, ddim_variance(w, V_c, V_u), rtol=0.05)


def test_a_tilt_is_the_product_of_powers():
    A, V = transport("tilt", jnp.full(3, 3.0), jnp.ones((3, 1)), jnp.array([0.5]), jnp.array([1.0]))
    precision = 3 / 0.5 - 2 / 1.0
    np.testing.assert_allclose(V, 1 / precision)
    np.testing.assert_allclose(A, 3 / 0.5 / precision)


def test_guidance_acts_where_its_schedule_says():
    """A scale at high noise only, and one at low noise only, are between none and all of it."""
    V_c, V_u, noise = jnp.array([0.68]), jnp.array([1.0]), jnp.asarray(SIGMA)[:, None] ** 2
    early = jnp.where(jnp.asarray(SIGMA) > 1, 5.0, 1.0)
    all_of_it = transport("ddim", jnp.full(len(SIGMA), 5.0), noise, V_c, V_u)[1]
    for w in (early, 6.0 - early):
        V = transport("ddim", w, noise, V_c, V_u)[1]
        assert float(all_of_it[0]) < float(V[0]) < 0.68


@pytest.mark.parametrize("theory", THEORIES)
def test_every_model_predicts_and_has_exact_gradients(theory):
    model = THEORIES[theory]
    of = linked(model, design(draw_arms(model, {}, scales=(1.0, 5.0), generations=2)))
    parameters = all_parameters(model, 1)
    x = vector(model, {})
    assert len({p.name for p in parameters}) == len(parameters)

    def total(x):
        return jnp.sum(all_expected(model.general, values_of(parameters, x), of))

    run = jax.jit(jax.value_and_grad(total))
    value, slope = run(
        x,
    )
    assert np.isfinite(value)
    direction = np.random.default_rng(0).normal(size=len(x))
    ahead, behind = (float(run(x + e * direction)[0]) for e in (1e-5, -1e-5))
    assert float(slope @ direction) == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("link", EVERY_LINK)
def test_without_guidance_there_is_no_selection(link):
    """Links are 0 at w = 1, and grow with w by their own formulas."""
    model = next(m for m in MODELS.values() if m.theory == "family DDIM" and m.link == link)
    of = linked(model, design(draw_arms(model, {}, scales=(1.0, 3.0), generations=1)))
    values = {"strength": jnp.asarray(0.5), "saturation": jnp.asarray(4.0)}
    setting = jax.tree.map(lambda leaf: leaf[:, 0], of.settings)
    x = model.excess(values, setting.scale, setting)
    by_hand = {"exact": 2, "linear": 1, "log": 0.5 * np.log(3), "saturating": 1 / 1.5}[link]
    np.testing.assert_allclose(x, [0, by_hand], atol=1e-12)


def test_parameters_are_within_their_bounds_and_have_units():
    for model in MODELS.values():
        for p in all_parameters(model, 2):
            assert p.low < p.typical < p.high
            assert len(p.meaning) > 10
            assert p.from_real(p.to_real(p.typical)) == pytest.approx(p.typical)
