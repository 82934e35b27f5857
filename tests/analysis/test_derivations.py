"""Every derivation agrees with the package; a module without a comparison here fails."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
from scipy.integrate import quad

import qtm
from analysis import derivations

ROOT = Path(__file__).resolve().parents[2]


def value(expression, **symbols):
    """The number that `expression` is, for symbols given by name."""
    names = {symbol.name: symbol for symbol in expression.free_symbols}
    used = {name: symbols[name] for name in names}
    return sp.lambdify([names[name] for name in used], expression, "scipy")(*used.values())


def truncated_normal(result):
    for x in (-1.5, 0.0, 0.7, 3.0):
        after = qtm.Truncation(value(result["fraction"], x=x)).moments(qtm.Moments(0, 1))
        yield after.mean, value(result["mean"], x=x)
        yield after.variance, value(result["variance"], x=x)


def stabilizing(result):
    at = {"m": 0.3, "V": 0.8, "theta": -0.6, "w2": 1.7}
    form = qtm.Stabilizing(at["theta"], at["w2"])
    state = qtm.Moments(at["m"], at["V"])
    yield form.moments(state).mean, value(result["mean"], **at)
    yield form.moments(state).variance, value(result["variance"], **at)
    density = lambda z: np.exp(-((z - at["m"]) ** 2) / (2 * at["V"])) / np.sqrt(2 * np.pi * at["V"])
    fitness = quad(lambda z: density(z) * np.exp(form.log_fitness(z, state)), -12, 12)[0]
    yield fitness, value(result["mean_fitness"], **at)


def directional(result):
    at = {"m": 0.3, "V": 0.8, "b": -0.6}
    after = qtm.Directional(at["b"]).moments(qtm.Moments(at["m"], at["V"]))
    yield after.mean, value(result["mean"], **at)
    yield after.variance, value(result["variance"], **at)
    yield 0.0, value(result["third_cumulant"], **at)


def ddim_guidance(result):
    for w, V_c, V_u in ((0.4, 0.5, 1.3), (2.5, 0.5, 1.3), (7.5, 0.2, 1.0), (3.0, 1.5, 1.0)):
        guided = qtm.Guidance(w, qtm.Moments(0, V_u)).moments(qtm.Moments(1, V_c))
        yield guided.variance, value(result["variance"], w=w, V_c=V_c, V_u=V_u)
        f = lambda q, w=w, r=V_c / V_u: value(result["response_integrand"], w=w, r=r, q=q)
        yield guided.mean, quad(f, 0, 1)[0]
        if V_c < V_u:
            yield qtm.response(w, V_c, V_u - V_c), quad(f, 0, 1)[0]
        yield qtm.response(w, V_c, 0.0), value(result["equal_response"], w=w)


def refit_drift(result):
    at = {"N": 12, "t": 5, "V_0": 0.7}
    cycle = qtm.LifeCycle(size=at["N"])
    path = qtm.evolve(cycle, qtm.Moments(0, at["V_0"]), at["t"])
    yield path.variance[-1], value(result["variance"], **at)
    # the mean of each generation is drawn with the variance V_t/N of the generation before it
    yield jnp.sum(path.variance[:-1]) / at["N"], value(result["displacement"], **at)
    yield at["V_0"], value(result["sum"], **at)
    draws = cycle.step(qtm.Moments(jnp.zeros(40_000), 1.0), key=jax.random.key(8))
    log_step = value(result["log_step"], **at)
    error = jnp.std(jnp.log(draws.variance)) / 200
    assert abs(jnp.mean(jnp.log(draws.variance)) - log_step) < 4 * error


@pytest.mark.parametrize("name", derivations.__all__)
def test_derivation_agrees_with_the_package(name):
    compare = globals().get(name)
    assert compare, f"derivation {name} has no comparison: add a function {name} to {__file__}"
    for computed, derived in compare(getattr(derivations, name).derive()):
        np.testing.assert_allclose(computed, derived, rtol=1e-8, atol=1e-12)


def test_sympy_loads_only_when_a_derivation_is_used():
    code = "import sys, analysis.derivations; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_unknown_derivation_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'alchemy'"):
        derivations.alchemy  # noqa: B018
