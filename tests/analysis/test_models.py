"""Models of experiments: their operators against exact theory, and what all of them must do."""

import ast
import inspect
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qtm
from analysis.arms.design import design
from analysis.arms.levels import SIGMA
from analysis.inference.likelihood import all_expected, all_parameters, linked, values_of
from analysis.models import EVERY_LINK, Setting, Theory, every_model
from analysis.prediction.synthetic import draw_arms, vector
from qtm import Families
from qtm.selection.guidance import transport
from qtm.selection.transport import (
    ddim_response,
    ddim_variance,
    ddpm_response,
    ddpm_variance,
)

MODELS = every_model()
THEORIES = {model.theory: model for model in MODELS.values()}


NOISE = jnp.asarray(SIGMA) ** 2


@pytest.mark.parametrize("operator", ["ddim", "ddpm"])
def test_transport_on_levels_is_that_of_exact_theory(operator):
    """Levels from far above the variances to far below: the integrals, to second order."""
    V_c, V_u = jnp.array([0.3, 0.7, 1.0]), jnp.array([1.0, 1.0, 1.0])
    noise = jnp.geomspace(1e8, 1e-6, 400)
    exact = (ddim_response, ddim_variance) if operator == "ddim" else (ddpm_response, ddpm_variance)
    for w in (0.5, 1.0, 2.5, 7.5):
        A, V = transport(qtm.AtLevels(jnp.full(400, w), noise), V_c, V_u, operator)
        np.testing.assert_allclose(A, exact[0](w, V_c, V_u), rtol=2e-3)
        np.testing.assert_allclose(V, exact[1](w, V_c, V_u), rtol=2e-3)


def test_the_levels_of_a_sampler_are_fine_enough():
    """Twenty-four levels instead of four hundred: a few percent, below the process variance."""
    V_c, V_u = jnp.array([0.68]), jnp.array([1.0])
    for w in (1.0, 2.5, 4.0):
        A, V = transport(qtm.AtLevels(jnp.full(len(SIGMA), w), NOISE), V_c, V_u, "ddim")
        np.testing.assert_allclose(A, ddim_response(w, V_c, V_u), rtol=0.05)
        np.testing.assert_allclose(V, ddim_variance(w, V_c, V_u), rtol=0.05)


def test_guidance_acts_where_its_schedule_says():
    """A scale at high noise only, and one at low noise only, are between none and all of it."""
    V_c, V_u = jnp.array([0.68]), jnp.array([1.0])
    early = jnp.where(jnp.asarray(SIGMA) > 1, 5.0, 1.0)
    variance = lambda w: transport(qtm.AtLevels(w, NOISE), V_c, V_u, "ddim")[1]
    all_of_it = variance(jnp.full(len(SIGMA), 5.0))
    for w in (early, 6.0 - early):
        assert float(all_of_it[0]) < float(variance(w)[0]) < 0.68


def one_setting():
    """The values of a theory, and one transition, in which every remedy is at work."""
    base = Families(jnp.array([0.0, 0.0]), jnp.array([0.6, 0.7]), jnp.array([0.4, 0.3]))
    state = Families(jnp.array([0.1, -0.2]), jnp.array([0.5, 0.3]), jnp.array([0.8, 0.5]))
    scales = jnp.linspace(5.0, 2.0, len(SIGMA))
    setting = Setting(
        base=base,
        scales=scales,
        noise=NOISE[:, None] / jnp.array([0.8, 1.2]),
        scale=jnp.mean(scales),
        dropped=jnp.asarray(0.2),
        real=jnp.asarray(0.3),
        mutation=jnp.array([0.01, 0.02]),
        family_size=jnp.asarray(50.0),
        families=jnp.asarray(10.0),
        stochastic=jnp.asarray(0.0),
        direction=jnp.array([1.0, -1.0]),
        trend=jnp.zeros((3, 2)),
        link=jnp.asarray(EVERY_LINK.index("linear")),
    )
    shares = {"heritability": 0.8, "within_heritability": 0.6, "uptake": 0.15, "confusion": 0.05}
    others = {"drop_uptake": 2.0, "drop_mutation": 0.1, "mutation_variance": 0.03, "coherence": 0.9}
    links = {"strength": 0.3, "saturation": 4.0}
    own = {"bound": 1.5, "late": 2.5, "separation": 1.5, "spread": 0.7}
    values = {k: jnp.asarray(v) for k, v in {**shares, **others, **links, **own}.items()}
    return values, state, setting


def by_hand(theory, values, state, setting):
    """One generation as a theory's docstring says it, in numpy, written here once more."""
    known = {p.name for p in THEORIES[theory].general.parameters}
    v = {name: float(x) if name in known else 0.0 for name, x in values.items()}
    w0, b0 = np.asarray(setting.base.within), np.asarray(setting.base.between)
    a, n, p = float(setting.real), 50.0, float(setting.dropped)
    noise = np.asarray(setting.noise) / float(values["coherence"])
    h, h_W = v["heritability"], v["within_heritability"]
    V_W = (1 - a) * np.asarray(state.within) * (1 - 1 / n) + a * w0 + np.asarray(setting.mutation)
    V_W = (1 - h_W) * w0 + h_W * V_W
    d = (1 - a) * np.sqrt(state.between) + a * np.sqrt(b0)
    V_B = ((1 - h) * np.sqrt(b0) + h * d) ** 2
    m = h * (1 - a) * np.asarray(state.mean)
    stays = (1 - v["uptake"]) * np.exp(-v["drop_uptake"] * p)
    V_U = stays * (w0 + b0) + (1 - stays) * (V_W + V_B)
    x = v["strength"] * (np.asarray(setting.scales) - 1)[:, None]
    x_mean = v["strength"] * (float(setting.scale) - 1)
    match theory:
        case "family tilt":
            L = (1 + x_mean) / V_W - x_mean / V_U
            V_W, V_B = 1 / L, ((1 + x_mean) / V_W / L) ** 2 * V_B
        case "log-linear":
            V_W, V_B = V_W * (V_W / V_U) ** x_mean, (1 + v["spread"] * x_mean) ** 2 * V_B
        case "truncation":
            after = qtm.Truncation(np.exp(-x_mean)).moments(qtm.Moments(0.0, V_W))
            m, V_W = m + np.asarray(setting.direction) * after.mean, after.variance
        case "stabilizing":
            kept = 1 / (1 + V_W * x_mean)
            m, V_W, V_B = kept * m, kept * V_W, kept**2 * V_B
        case "directional":
            m = m + np.asarray(setting.direction) * x_mean * V_W
        case "refit drift":
            pass
        case _:
            if theory == "late guidance":
                x = x / (1 + noise / v["late"])
            if theory == "bounded mixture":
                D = v["separation"] * (V_B / (V_W + noise)).mean(axis=1, keepdims=True)
                x = x * 10 / (9 + np.exp(D))
            operator = "ddpm" if theory == "family DDPM" else "ddim"
            A, V_W = transport(qtm.AtLevels(1 + x, noise), V_W, V_U, operator)
            V_B = A**2 * V_B
    if "bound" in known:
        V_B = V_B * (1 + (V_B / v["bound"]) ** 4) ** -0.25
    lost = 1 - (1 - v["confusion"]) ** 2
    V_W, V_B = V_W + lost * V_B, (1 - lost) * V_B
    V_W = V_W + v["mutation_variance"] + v["drop_mutation"] * p
    return m, V_W, V_B + V_W / n


@pytest.mark.parametrize("theory", [t for t, m in THEORIES.items() if isinstance(m, Theory)])
def test_a_theory_is_the_cycle_of_families_that_it_constructs(theory):
    model = THEORIES[theory].general
    values, state, setting = one_setting()
    values = {p.name: values[p.name] for p in model.parameters}
    cycle = model.cycle(values, setting)
    assert isinstance(cycle, qtm.FamilyCycle)
    stepped, evolved = model.step(values, state, setting), qtm.evolve(cycle, state, 1)
    expected = by_hand(theory, one_setting()[0], state, setting)
    for name, hand in zip(("mean", "within", "between"), expected, strict=True):
        np.testing.assert_allclose(getattr(stepped, name), hand, rtol=1e-12)
        np.testing.assert_allclose(getattr(evolved, name)[1], hand, rtol=1e-12)


def test_theories_construct_and_never_look_at_a_population():
    """Inheritance, guidance, transport and mutation are stated in `qtm` alone.

    A theory is given no state, overrides no step, and the modules of theories read no moments.
    """
    moments = ("mean", "within", "between", "variance")
    theories = [type(m) for m in THEORIES.values() if isinstance(m, Theory)]
    assert len(theories) > 8
    for theory in theories:
        assert "step" not in vars(theory)
        assert list(inspect.signature(theory.cycle).parameters) == ["self", "values", "setting"]
    modules = {sys.modules[theory.__module__] for theory in theories}
    for module in (*modules, sys.modules[Theory.__module__]):
        tree = ast.parse(Path(module.__file__).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                where = f"{module.__name__}, line {node.lineno}: {ast.unparse(node)}"
                assert node.attr not in moments or ast.unparse(node.value) == "jnp", where
                assert node.attr not in ("sqrt", "square", "log"), where
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("qtm"):
                assert node.module == "qtm", f"{module.__name__} imports {node.module}"


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
