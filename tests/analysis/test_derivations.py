"""Every derivation agrees with the package; a module without a comparison here fails."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy as sp
from matplotlib.mathtext import MathTextParser
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import halfnorm

import qtm
from analysis import derivations, trait_series
from analysis.selection.differentials import by_prompt, differential
from analysis.selection.draws import Draws, Sample
from analysis.selection.price import decompose
from analysis.selection.transmission import mutation, slope
from analysis.selection.transmission import two_parents as regression
from analysis.selection.variances import between, upper_bound, within
from empirical.errors import UserError
from qtm.selection.transport import ddpm_response, ddpm_variance

ROOT = Path(__file__).resolve().parents[2]


def value(expression, **symbols):
    """Return the value of `expression` for symbols given by name."""
    names = {symbol.name: symbol for symbol in expression.free_symbols}
    used = {name: symbols[name] for name in names}
    return sp.lambdify([names[name] for name in used], expression, "scipy")(*used.values())


def truncated_normal(result):
    for x in (-1.5, 0.0, 0.7, 3.0):
        after = qtm.Truncation(value(result["fraction"], x=x)).moments(qtm.Moments(0, 1))
        yield after.mean, value(result["mean"], x=x)
        yield after.variance, value(result["variance"], x=x)


def stabilizing(result):
    point = {"m": 0.3, "V": 0.8, "theta": -0.6, "w2": 1.7}
    form = qtm.Stabilizing(point["theta"], point["w2"])
    state = qtm.Moments(point["m"], point["V"])
    yield form.moments(state).mean, value(result["mean"], **point)
    yield form.moments(state).variance, value(result["variance"], **point)
    density = lambda z: (
        np.exp(-((z - point["m"]) ** 2) / (2 * point["V"])) / np.sqrt(2 * np.pi * point["V"])
    )
    fitness = quad(lambda z: density(z) * np.exp(form.log_fitness(z, state)), -12, 12)[0]
    yield fitness, value(result["mean_fitness"], **point)


def directional(result):
    point = {"m": 0.3, "V": 0.8, "b": -0.6}
    after = qtm.Directional(point["b"]).moments(qtm.Moments(point["m"], point["V"]))
    yield after.mean, value(result["mean"], **point)
    yield after.variance, value(result["variance"], **point)
    yield 0.0, value(result["third_cumulant"], **point)


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
    point = {"N": 12, "t": 5, "V_0": 0.7}
    cycle = qtm.LifeCycle(size=point["N"])
    path = qtm.evolve(cycle, qtm.Moments(0, point["V_0"]), point["t"])
    yield path.variance[-1], value(result["variance"], **point)
    # the mean of each generation is drawn with the variance V_t/N of the generation before it
    yield jnp.sum(path.variance[:-1]) / point["N"], value(result["displacement"], **point)
    yield point["V_0"], value(result["sum"], **point)
    draws = cycle.step(qtm.Moments(jnp.zeros(40_000), 1.0), key=jax.random.key(8))
    log_step = value(result["log_step"], **point)
    error = jnp.std(jnp.log(draws.variance)) / 200
    assert abs(jnp.mean(jnp.log(draws.variance)) - log_step) < 4 * error


def mutation_balance(result):
    point = {"theta": 1.2, "V_m": 0.05, "V_s": 4.0}
    cycle = qtm.LifeCycle(
        selection=qtm.Stabilizing(point["theta"], point["V_s"]),
        mutation=qtm.GaussianMutation(point["V_m"]),
    )
    held = qtm.equilibrium(cycle, qtm.Moments(0.3, 1.0))
    yield held.mean, value(result["mean"], **point)
    yield held.variance, value(result["variance"], **point)
    yield cycle.step(held).variance, value(result["variance"], **point)
    slope = jax.grad(lambda V: cycle.step(qtm.Moments(0.3, V)).variance)
    yield slope(held.variance), value(result["approach"], **point)

    # for matrices f applies along the axes of Omega^-1/2 M Omega^-1/2
    M, Omega = np.array([[0.1, -0.03], [-0.03, 0.2]]), np.array([[4.0, -0.8], [-0.8, 3.0]])
    widths, axes = np.linalg.eigh(Omega)
    root, inverse = (axes * widths**p @ axes.T for p in (0.5, -0.5))
    b, turn = np.linalg.eigh(inverse @ M @ inverse)
    f = np.array([value(result["in_widths"], b=x) for x in b])
    cycle = qtm.LifeCycle(selection=qtm.Stabilizing(0.0, Omega), mutation=qtm.GaussianMutation(M))
    held = qtm.equilibrium(cycle, qtm.Moments.multivariate(np.zeros(2), np.eye(2)))
    yield held.covariance, root @ (turn * f @ turn.T) @ root


def infinitesimal(result):
    V_a, V_E, p, omega2 = 1.3, 0.7, 0.3, 3.0
    model, start = qtm.Infinitesimal(V_a, V_E), qtm.Moments(0.0, 0.9)
    k = 1 - qtm.Middle(p).moments(qtm.Moments(0, 1)).variance
    point = {"V_a": V_a, "V_E": V_E, "k": k, "H": V_a / (V_a + V_E), "V_s": omega2 + V_E}
    born = lambda state: model.moments(state).variance

    cycle = qtm.LifeCycle(model, qtm.Middle(p))
    yield born(cycle.step(start)), value(result["next"], V_A=born(start), **point)
    V_A = born(qtm.evolve(cycle, start, 80).final)
    yield V_A, value(result["truncated"], **point)
    yield V_A / (V_A + V_E), value(result["heritability"], **point)
    cycle = qtm.LifeCycle(model, qtm.Stabilizing(0.0, omega2))
    yield born(qtm.equilibrium(cycle, start)), value(result["stabilized"], **point)
    yield born(qtm.evolve(cycle, start, 100).final), value(result["stabilized"], **point)


def base_regression(result):
    point = {"h": 0.7, "m_b": 0.4, "m_0": -0.5, "V_b": 1.3, "S": 0.6 * 1.3}
    inheritance = qtm.Regression(point["h"], point["m_b"], point["V_b"])
    cycle = qtm.LifeCycle(inheritance, qtm.Directional(0.6))
    start = qtm.Moments(point["m_0"], point["V_b"])
    path = qtm.evolve(cycle, start, 100)
    yield path.mean[-1], value(result["mean"], **point)
    for t in (0, 1, 7):
        yield path.mean[t], value(result["path"], t=t, **point)
    k = 1 - qtm.Truncation(0.4).moments(qtm.Moments(0, 1)).variance
    held = qtm.equilibrium(qtm.LifeCycle(inheritance, qtm.Truncation(0.4)), start)
    yield held.variance, value(result["variance"], k=k, **point)


def refit_selection(result):
    N, p = 12, 0.4
    point = {
        "N": N,
        "V_m": 0.3,
        "V_0": 1.0,
        "k": 1 - qtm.Middle(p).moments(qtm.Moments(0, 1)).variance,
    }
    cycle = qtm.LifeCycle(qtm.Refit(), qtm.Middle(p), qtm.GaussianMutation(point["V_m"]), size=N)
    path = qtm.evolve(cycle, qtm.Moments(0, point["V_0"]), 60)
    yield path.variance[-1], value(result["images"], **point)
    images = qtm.Moments(path.mean[-1], path.variance[-1])
    model = cycle.mutation.moments(cycle.selection.moments(images))
    yield model.variance, value(result["model"], **point)
    for t in (1, 6):
        yield path.variance[t], value(result["path"], t=t, **point)


def refit_inflow(result):
    point = {"N": 10, "a": 0.3, "V_0": 1.4}
    real = qtm.Moments(0.2, point["V_0"])
    inheritance = qtm.Refit(inflow=point["a"], fresh=real)
    cycle = qtm.LifeCycle(inheritance, size=point["N"])
    held = qtm.evolve(cycle, qtm.Moments(0.2, 1.0), 80).final
    yield held.variance, value(result["without_wandering"], **point)

    # The expected variance depends only on the squared displacement, so one population with the
    # expected displacement represents all.
    V, D = (value(result[name], **point) for name in ("variance", "displacement"))
    after = cycle.step(qtm.Moments(0.2 + np.sqrt(D), V))
    yield after.variance, V
    # the variance that N images lack is the squared displacement of their mean
    lacking = qtm.LifeCycle(inheritance).step(qtm.Moments(0.2 + np.sqrt(D), V)).variance - V
    yield (after.mean - 0.2) ** 2 + lacking, D


def refit_accumulation(result):
    point = {"N": 5, "V_0": 0.8}
    cycle = qtm.LifeCycle(qtm.Refit(accumulate=True), size=point["N"])
    first = qtm.LifeCycle(size=point["N"]).step(qtm.Moments(0, point["V_0"]))
    path = qtm.evolve(cycle, first, 5000)
    for t in (1, 2, 9):
        yield path.variance[t - 1], value(result["variance"], t=t, **point)
        yield point["V_0"], value(result["sum"], t=t, **point)
    # the remaining loss by later sets is prod (1 - 1/(N j^2)) over j > 5001, nearly 1 - 1/(5001 N)
    rest = path.variance[-1] / value(result["limit"], **point) - 1
    np.testing.assert_allclose(rest * point["N"] * 5001, 1, rtol=1e-3)
    # the mean of the pool moves by the fraction 1/j of the error of the newest of j sets
    j = np.arange(1, 10)
    before = np.concatenate([[point["V_0"]], path.variance[:8]])
    yield np.sum(before / point["N"] / j**2), value(result["displacement"], t=9, **point)


def moving_optimum(result):
    point = {"k": 0.1, "m_0": -0.4, "V_s": 5.0, "N": 40, "V_theta": 0.3}
    V_m = 0.3
    V = (V_m + np.sqrt(V_m**2 + 4 * V_m * point["V_s"])) / 2
    form = qtm.Stabilizing(lambda t: point["k"] * t, point["V_s"])
    cycle = qtm.LifeCycle(selection=form, mutation=qtm.GaussianMutation(V_m))
    s = value(result["share"], V_g=V, V_s=point["V_s"])
    path = qtm.evolve(cycle, qtm.Moments(point["m_0"], V), 12)
    for t in (0, 1, 12):
        yield path.mean[t], value(result["mean"], s=s, t=t, **point)
    path = qtm.evolve(cycle, qtm.Moments(0.0, V), 12)
    yield (
        point["k"] * np.arange(1, 13) - path.mean[:-1],
        value(result["lag"], s=s, t=np.arange(1, 13), **point),
    )
    # the mean after a generation is linear in the mean before it and in the optimum
    moved = lambda m, theta: qtm.Stabilizing(theta, point["V_s"]).moments(qtm.Moments(m, V)).mean
    of_mean, of_optimum = jax.grad(moved, (0, 1))(0.2, 0.5)
    spread = 0.0
    for t in range(1, 10):
        spread = of_mean**2 * spread + of_optimum**2 * point["V_theta"] + V / point["N"]
        yield spread, value(result["variance"], V_g=V, t=t, **point)


def tilt_guidance(result):
    for w, V_c, V_u in ((0.4, 0.5, 1.3), (2.5, 0.5, 1.3), (1.5, 1.1, 0.9), (-0.5, 0.9, 1.1)):
        point = {"w": w, "V_c": V_c, "V_u": V_u, "m_c": 0.7, "m_u": -0.4}
        start = qtm.Moments(point["m_c"], V_c)
        tilt = qtm.Guidance(w, qtm.Moments(point["m_u"], V_u), "tilt").moments(start)
        yield tilt.mean, value(result["mean"], **point)
        yield tilt.variance, value(result["variance"], **point)
        # exp(b z - z^2/(2 omega^2)) has its extreme at b omega^2
        b, width2 = value(result["gradient"], **point), 1 / value(result["inverse_width2"], **point)
        form = qtm.Stabilizing if width2 > 0 else qtm.Disruptive
        chosen = form(b * width2, abs(width2)).moments(start)
        yield chosen.mean, tilt.mean
        yield chosen.variance, tilt.variance
    point = {"w": 3.0, "V_c": 0.5, "m_c": 0.7, "m_u": -0.4}
    tilt = qtm.Guidance(3.0, qtm.Moments(-0.4, 0.5), "tilt").moments(qtm.Moments(0.7, 0.5))
    chosen = qtm.Directional(value(result["equal_gradient"], **point)).moments(
        qtm.Moments(0.7, 0.5)
    )
    yield tilt.mean, chosen.mean
    yield tilt.variance, chosen.variance


def ddpm_guidance(result):
    for w, V_c, V_u in ((0.4, 0.5, 1.3), (2.5, 0.5, 1.3), (7.5, 0.2, 1.0), (3.0, 1.5, 1.0)):
        guided = qtm.Guidance(w, qtm.Moments(0, V_u), "ddpm").moments(qtm.Moments(1, V_c))
        yield guided.variance, value(result["variance"], w=w, V_c=V_c, V_u=V_u)
        yield guided.mean, value(result["response"], w=w, r=V_c / V_u)
        yield ddpm_response(w, V_c, V_u), value(result["response"], w=w, r=V_c / V_u)
        yield ddpm_variance(0.5, V_c, V_u), value(result["half_variance"], V_c=V_c, V_u=V_u)
        yield ddpm_variance(w, V_c, V_c), value(result["equal_variance"], V_c=V_c)
        yield ddpm_response(w, V_c, V_c), value(result["equal_response"], w=w)


def families(result):
    point = {"w": 2.2, "V_W": 0.5, "V_B": 0.7, "h": 0.85}
    base = qtm.Families(0.0, point["V_W"], 0.0)
    cycle = qtm.FamilyCycle(point["h"], point["w"], base, uptake=1.0, within_heritability=1.0)
    after = cycle.step(qtm.Families(0.0, point["V_W"], point["V_B"]))
    inherited = point["h"] ** 2 * point["V_B"]
    A = qtm.response(point["w"], point["V_W"], inherited)
    yield after.between, value(result["between"], A=A, **point)
    yield after.within, value(result["within"], **{**point, "V_B": inherited})

    slope_of = jax.jit(jax.grad(qtm.response))
    for V_W, V_B in ((0.5, 0.5), (0.1, 1.0), (2.0, 0.7)):
        r = V_W / (V_W + V_B)
        at_three = value(result["response_three"], r=r)
        yield qtm.response(3.0, V_W, V_B), at_three
        slope = value(result["slope_at_one"], r=r)
        yield slope_of(1.0, V_W, V_B), slope
        assert slope > 0
        # the remainder after the first two terms falls with the square of w
        far = np.array([400.0, 800.0])
        left = np.asarray(qtm.response(far, V_W, V_B)) - value(result["large_scale"], w=far, r=r)
        np.testing.assert_allclose(left[0] / left[1], 4, rtol=0.05)
        assert qtm.response(800.0, V_W, V_B) > 1 / (1 - r)
        if slope_of(3.0, V_W, V_B) > 0:  # the neutral scale is the root before the peak
            yield qtm.neutral_scale(1 / at_three, V_W, V_B), 3.0
    yield qtm.neutral_scale(0.3, 1.3, 0.0), value(result["neutral_equal"], h=0.3)

    w = value(result["neutral_ddpm"], h=point["h"], r=point["V_W"] / (point["V_W"] + inherited))
    cycle = qtm.FamilyCycle(point["h"], w, base, 1.0, within_heritability=1.0, operator="ddpm")
    held = cycle.step(qtm.Families(0.0, point["V_W"], point["V_B"]))
    yield held.between, point["V_B"]


def time_series(result):
    point = {"z_0": 1.0, "mu": 0.3, "s2": 0.02, "theta": 3.0, "k": 0.15}
    times = np.array([0.0, 1.0, 2.5, 7.0])
    n, V = np.array([10, 20, 30, 40]), 1.3
    observed = trait_series.series(times, np.zeros(4), np.full(4, V), n)
    error = np.diag(V / n)

    names = {"ancestor": point["z_0"], "step_mean": point["mu"], "step_variance": point["s2"]}
    mean, covariance = trait_series.moments("directional walk", names, observed)
    yield mean, value(result["walk_mean"], t=times, **point)
    yield np.diag(covariance - error), value(result["walk_variance"], t=times, **point)
    step = np.array([0, -1, 1, 0])
    of_step = {"dt": 1.5, "V_1": V, "V_2": V, "n_1": n[1], "n_2": n[2], "s2": point["s2"]}
    yield step @ covariance @ step, value(result["step_variance"], **of_step)

    names |= {"theta": point["theta"], "alpha": point["k"]}
    mean, covariance = trait_series.moments("Ornstein-Uhlenbeck", names, observed)
    yield mean, value(result["mean"], t=times, **point)
    yield np.diag(covariance - error), value(result["variance"], t=times, **point)
    yield covariance[1, 3], value(result["covariance"], t=times[1], u=times[3] - times[1], **point)

    # stabilizing selection at constant variance is such a return to the optimum
    V, V_s = 0.8, 3.0
    held = qtm.GaussianMutation(V - V * V_s / (V + V_s))
    cycle = qtm.LifeCycle(selection=qtm.Stabilizing(point["theta"], V_s), mutation=held)
    path = qtm.evolve(cycle, qtm.Moments(point["z_0"], V), 9)
    point["k"] = value(result["rate"], s=V / (V + V_s))
    yield path.mean, value(result["mean"], t=np.arange(10.0), **point)


def orthogonal(*variances, count=12):
    """Return columns that are centred and uncorrelated, with these variances (ddof 1)."""
    z = np.random.default_rng(3).normal(size=(count, len(variances) + 1))
    z[:, 0] = 1
    columns = np.linalg.qr(z)[0][:, 1:]
    return columns.T * np.sqrt(np.array(variances) * (count - 1))[:, None]


def one_image_each(z):
    return Sample(np.asarray(z, float)[:, None], np.arange(len(z)))


def price_parts(result):
    z, w = np.array([0.4, -1.3]), np.array([3, 1])
    point = {f"z_{i + 1}": z[i] for i in range(2)} | {f"w_{i + 1}": w[i] for i in range(2)}
    sets = [Sample(v[:, None], np.zeros(len(v), int)) for v in (z, np.repeat(z, w))]
    before, training = sets
    changes = {c.quantity: c for c in decompose(Draws(before, training, before, before))}
    for name in ("inflow", "covariance"):
        yield changes["mean"].inflow, value(result[name], **point)
    for name in ("inflow_variance", "covariance_variance"):
        yield np.repeat(z, w).var() - z.var(), value(result[name], **point)

    point = {"V_x": 0.7, "V_r": 0.2, "V_e": 0.1, "h": 0.8, "a": 0.4}
    x, r, e = orthogonal(0.7, 0.2, 0.1)
    y = point["h"] * x + r
    samples = [one_image_each(v) for v in (x, x, y, y + point["a"] * y + e)]
    (between,) = (c for c in decompose(Draws(*samples)) if c.quantity == "between")
    yield between.transmission, value(result["between_transmission"], **point)
    yield between.selection, value(result["between_selection"], **point)


def breeders_equation(result):
    point = {"h": 0.7, "b": 0.6, "V": 1.3, "V_m": 0.2, "S": 0.6 * 1.3}
    # The variance stays at V: base and selected populations have it.
    inheritance = qtm.Regression(point["h"], 0.4, point["V"])
    path = qtm.evolve(
        qtm.LifeCycle(inheritance, qtm.Directional(point["b"])), qtm.Moments(0.4, point["V"]), 8
    )
    for t in (0, 1, 8):
        yield path.mean[t] - 0.4, value(result["cumulative"], t=t, **point)
    parents = qtm.Moments(-0.2, point["V"])
    selected = qtm.Directional(point["b"]).moments(parents)
    yield selected.mean - parents.mean, value(result["differential"], **point)
    unguided = [inheritance.moments(state).mean for state in (parents, selected)]
    yield unguided[1] - unguided[0], value(result["response"], **point)
    x, e = orthogonal(point["V"], point["V_m"])
    (estimate,) = slope(one_image_each(point["h"] * x + e), one_image_each(x), "slope")
    yield estimate.value, value(result["slope"], **point)
    yield estimate.value, value(result["realised_heritability"], **point)


def selection_gradients(result):
    for theta, V, w2 in ((0.9, 0.8, 1.7), (0.0, 1.3, 0.5), (-2.0, 0.4, 3.0)):
        after = qtm.Stabilizing(theta, w2).moments(qtm.Moments(0.0, V))
        point = {"theta": theta, "V": V, "w2": w2}
        for name in ("beta", "slope"):
            yield after.mean / V, value(result[name], **point)
        for name in ("gamma", "curvature"):
            yield (after.variance - V + after.mean**2) / V**2, value(result[name], **point)


def quasi_simplex(result):
    V_0, V_u, V_W, r = 0.9, 0.2, 0.6, 0.8
    v, u_1, u_2, *e = orthogonal(V_0, V_u, V_u, V_W, V_W, V_W)
    for a in (0.0, 0.5, 1.0):
        values = [v]
        for t, u in enumerate((u_1, u_2)):
            values.append(r * (values[t] + a * e[t]) + u)
        images = [one_image_each(x + y) for x, y in zip(values, e, strict=True)]
        (estimate,) = upper_bound(*images)
        V_B = values[1].var(ddof=1)
        yield estimate.value, value(result["bound"], V_B=V_B, V_W=V_W, a=a)
        yield estimate.value - V_B, value(result["excess"], V_W=V_W, a=a)
        if a == 0:
            yield estimate.value, value(result["simplex"], V_B=V_B)


def expected(estimate, deviations):
    """Return E[f(xi)] of a quadratic f and independent xi_i with mean 0 and these deviations.

    f(0) and, for each i, what the squares of xi_i add: products of two have mean 0.
    """
    steps = np.diag(np.asarray(deviations, float))
    start = estimate(np.zeros(len(steps)))
    return start + sum((estimate(x) + estimate(-x)) / 2 - start for x in steps)


def replicates(result):
    V_W, V_B = 0.6, 1.1
    for sizes in ((2, 2), (2, 3), (4, 7)):
        codes = np.repeat([0, 1], sizes)
        sample = lambda x, codes=codes: Sample((x[codes] + x[2:])[:, None], codes)
        deviations = [V_B**0.5] * 2 + [V_W**0.5] * len(codes)
        point = {"V_W": V_W, "V_B": V_B, "n_1": sizes[0], "n_2": sizes[1]}
        raw = lambda x, sample=sample: sample(x).means.var(ddof=1)
        yield expected(raw, deviations), value(result["raw"], **point)
        for name, estimator in (("within", within), ("between", between)):
            mean = lambda x, f=estimator, sample=sample: f(sample(x))[0].value
            yield expected(mean, deviations), value(result[name], **point)
        excess = lambda x, f=raw, sample=sample: f(x) - between(sample(x))[0].value
        yield expected(excess, deviations), value(result["sampling"], **point)
    pairs = lambda x: np.cov(x[:2] + x[2::2], x[:2] + x[3::2])[0, 1]
    deviations = [V_B**0.5] * 2 + [V_W**0.5] * 4
    yield expected(pairs, deviations), value(result["covariance"], **point)


def differential_bias(result):
    point = {"S": 2.0, "b": 0.8, "V_W": 0.3, "V_f": 0.05, "n": 3}
    codes = np.zeros(3, int)

    def draws(x, other=None):
        e, f = x[:3], x[3:6]
        unguided = Sample((e if other is None else other)[:, None], codes)
        guided = Sample((point["S"] + point["b"] * e + f)[:, None], codes)
        return Draws(unguided, unguided, unguided, guided)

    def corrected(x):
        (estimate,) = (e for e in differential(draws(x)) if e.quantity == "S_rms")
        return estimate.value**2

    deviations = [point["V_W"] ** 0.5] * 3 + [point["V_f"] ** 0.5] * 3
    square = expected(lambda x: by_prompt(draws(x)).item() ** 2, deviations)
    yield square, value(result["square"], **point)
    without_bias = expected(corrected, deviations)
    yield without_bias, value(result["corrected"], **point)
    yield square - without_bias, value(result["bias"], **point)
    yield (square - without_bias) * point["n"], value(result["paired"], **point)
    apart = lambda x: by_prompt(draws(x, x[6:])).item() ** 2 - point["S"] ** 2
    deviations += [point["V_W"] ** 0.5] * 3
    yield expected(apart, deviations), value(result["unpaired"], **point)
    spread = value(result["bias"], **point) ** 0.5
    yield halfnorm.mean(scale=spread), value(result["absolute"], **point)


def mutation_residual(result):
    point = {"p": 1.4, "q": 0.5, "V_m": 0.3}
    x, V_W, n = np.array([-1.4, -0.5, 0.5, 1.4]), np.array([0.2, 0.9, 0.4, 0.6]), 2
    point |= {f"v_{c + 1}": V_W[c] / n for c in range(4)}
    codes = np.repeat(np.arange(4), n)
    parents = one_image_each(x)

    def estimate(noise):
        images = (0.8 * x + noise[:4])[codes] + noise[4:]
        unguided = Sample(images[:, None], codes)
        (result,) = mutation(Draws(parents, parents, unguided, unguided))
        return result.value

    deviations = np.sqrt([point["V_m"]] * 4 + list(V_W[codes]))
    V_m = expected(estimate, deviations)
    yield V_m, value(result["mutation"], **point)
    design = np.column_stack([np.ones(4), x])
    leverage = np.diag(design @ np.linalg.pinv(design))
    yield leverage[[0, 1]], [value(result[name], **point) for name in ("outer", "inner")]
    yield (1 - leverage) @ V_W / n, value(result["sampling"], **point)
    squares = lambda noise: np.square(noise - design @ np.linalg.pinv(design) @ noise).sum()
    spread = np.sqrt(point["V_m"] + V_W / n)
    yield expected(squares, spread), value(result["squares"], **point)


def two_parents(result):
    point = {"alpha": 1.3, "beta": -0.6, "c": 0.9, "V_x": 1.1, "V_q": 0.2, "v": 0.15}
    x, q, error = orthogonal(point["V_x"], point["V_q"], point["v"])
    base = point["c"] * x + q
    y = one_image_each(point["alpha"] * x + point["beta"] * base)
    # Two images a prompt around the measured mean, half of whose variance is v.
    images = np.concatenate([base + error + side * point["v"] ** 0.5 for side in (-1, 1)])
    measured = Sample(images[:, None], np.tile(np.arange(len(x)), 2))
    draws = Draws(one_image_each(x), one_image_each(x), y, y, measured)
    weights = {estimate.quantity: estimate.value for estimate in regression(draws)}
    naive = np.linalg.lstsq(np.column_stack([x, base + error]), y.values[:, 0], rcond=None)[0]
    for i, name in enumerate(("parent", "base")):
        yield weights[f"{name}_weight"], value(result[name], **point)
        yield naive[i], value(result[f"naive_{name}"], **point)


def neutral_criteria(result):
    point = {"V_x": 0.9, "V_r": 0.1, "b_1": 0.94, "k": 0.4}
    x, r = orthogonal(point["V_x"], point["V_r"])
    parents = one_image_each(x)

    def measured(b):
        offspring = one_image_each(b * x + r)
        changes = decompose(Draws(parents, parents, offspring, offspring))
        (change,) = (c.transmission for c in changes if c.quantity == "between")
        return change, slope(offspring, parents, "slope")[0].value

    yield measured(1.2), (value(result["change"], b=1.2, **point), 1.2)
    yield measured(1.0)[0], value(result["at_slope_one"], **point)
    b = value(result["slope_at_constant_variance"], **point)
    yield measured(b), (0, b)
    at_scale = lambda w: measured(point["b_1"] + point["k"] * np.log(w))
    by_variance = brentq(lambda w: at_scale(w)[0], 0.5, 3, xtol=1e-14)
    by_slope = brentq(lambda w: at_scale(w)[1] - 1, 0.5, 3, xtol=1e-14)
    yield by_slope, value(result["by_slope"], **point)
    yield by_variance, value(result["by_variance"], **point)
    yield by_slope / by_variance, value(result["ratio"], **point)


def correlational_selection(result):
    P, Q = np.array([[0.8, 0.3], [0.3, 1.2]]), np.array([[0.5, -0.2], [-0.2, 0.9]])
    theta = np.array([0.7, -0.4])
    point = {f"{name}_{i + 1}{j + 1}": M[i, j] for name, M in (("P", P), ("Q", Q))
             for i, j in ((0, 0), (0, 1), (1, 1))}  # fmt: skip
    point |= {f"theta_{i + 1}": theta[i] for i in range(2)}
    start = qtm.Moments.multivariate(np.zeros(2), P)
    after = qtm.Stabilizing(theta, np.linalg.inv(Q)).joint(start)
    S, inverse = np.asarray(after.mean), np.linalg.inv(P)
    beta = inverse @ S
    gamma = inverse @ (np.asarray(after.covariance) - P + np.outer(S, S)) @ inverse
    for name in ("beta_1", "slope_1"):
        yield beta[0], value(result[name], **point)
    for kind in ("gamma", "curvature"):
        yield gamma[0, 0], value(result[f"{kind}_11"], **point)
        yield gamma[0, 1], value(result[f"{kind}_12"], **point)


@pytest.mark.parametrize("name", derivations.__all__)
def test_derivation_agrees_with_the_package(name):
    compare = globals().get(name)
    assert compare, f"derivation {name} has no comparison: add a function {name} to {__file__}"
    for computed, expected in compare(derivations.derived(name)):
        np.testing.assert_allclose(computed, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("name", derivations.__all__)
def test_every_expression_is_latex(name):
    """matplotlib reads LaTeX, and refuses what is none."""
    written, expressions = derivations.latex(name), derivations.derived(name)
    assert written.keys() == expressions.keys() != set()
    parser = MathTextParser("path")
    for key, expression in expressions.items():
        assert written[key] == sp.latex(expression)
        assert parser.parse(f"${written[key]}$").width > 0


def test_the_package_lists_its_modules():
    files = (ROOT / "analysis" / "derivations").glob("[!_]*.py")
    assert sorted(path.stem for path in files) == derivations.__all__


def test_latex_of_an_unknown_derivation_is_a_mistake_of_the_user():
    with pytest.raises(UserError, match="no derivation 'alchemy', there are base_regression"):
        derivations.latex("alchemy")


def test_sympy_loads_only_when_a_derivation_is_used():
    code = "import sys, analysis.derivations; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_unknown_derivation_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'alchemy'"):
        derivations.alchemy  # noqa: B018
