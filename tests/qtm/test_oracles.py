"""Closed forms of the theory that no other file of this folder holds against the package."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats
from scipy.optimize import brentq

import qtm


def within(samples, expected, sigmas=4.0):
    """The mean of the replicates lies within `sigmas` standard errors of the expected one."""
    samples = np.asarray(samples)
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(axis=0) - expected) <= sigmas * error + 1e-12)


# Selection


def test_an_environment_widens_stabilizing_selection():
    """V_s = omega^2 + V_E: breeding values move by V_A/(V_A + V_s) (theta - m) and keep the
    variance V_A V_s/(V_A + V_s) (Lande 1976, Evolution 30:314-334)."""
    m, theta, V_A, V_E, omega2 = -0.4, 0.9, 1.3, 0.7, 3.0
    model = qtm.Infinitesimal(genic_variance=V_A, environmental_variance=V_E)
    after = qtm.LifeCycle(model, qtm.Stabilizing(theta, omega2)).step(qtm.Moments(m, V_A))
    V_s = omega2 + V_E
    np.testing.assert_allclose(after.mean, m + V_A / (V_A + V_s) * (theta - m), rtol=1e-12)
    np.testing.assert_allclose(after.variance, V_A * V_s / (V_A + V_s), rtol=1e-12)


def test_stabilizing_selection_moves_the_mean_up_the_log_mean_fitness():
    """S = V d ln Wbar/dm with Wbar = sqrt(w2/(V + w2)) exp(-(m - theta)^2/2(V + w2)) (Lande)."""
    m, V, theta, w2 = 0.3, 0.8, -0.6, 1.7
    log_mean = lambda m: 0.5 * np.log(w2 / (V + w2)) - (m - theta) ** 2 / (2 * (V + w2))
    density, form = qtm.Density.normal(m, V), qtm.Stabilizing(theta, w2)
    fitness = np.exp(form.log_fitness(density.grid, density))
    mean = np.sum(fitness * density.density * density.step)
    np.testing.assert_allclose(mean, np.exp(log_mean(m)), rtol=1e-10)
    S = form.moments(qtm.Moments(m, V)).mean - m
    slope = (log_mean(m + 1e-5) - log_mean(m - 1e-5)) / 2e-5
    np.testing.assert_allclose(S, V * slope, rtol=1e-8)


def test_directional_selection_shifts_every_cumulant():
    """K*(q) = K(q + b) - K(b), here of a density of two peaks."""
    share, m, V = np.array([0.7, 0.3]), np.array([-1.0, 1.5]), np.array([0.5, 0.8])
    b = 0.6
    K = lambda q: np.log(np.sum(share * np.exp(q * m + q**2 * V / 2)))
    z = np.linspace(-10, 10, 1025)
    peaks = scipy.stats.norm.pdf(z[:, None], m, np.sqrt(V)) @ share
    after = qtm.Directional(b).density(qtm.Density(z, peaks))
    # the function that generates the cumulants of what is left
    p = np.asarray(after.density * after.step)
    for q in (-0.8, 0.3, 1.1):
        np.testing.assert_allclose(np.log(np.exp(q * z) @ p), K(q + b) - K(b), rtol=1e-9)


# Many loci: 2 n independent alleles, each an asexual population of one trait


def test_many_alleles_of_small_effects_hold_latters_variance():
    """V_G = sqrt(2 n V_m V_s), each allele with V_m/(2 n) a generation (Kimura 1965; Lande 1976).

    It is what is left of the exact balance where mutation is weak: the next term is half of
    sqrt(V_m/(2 n V_s)) in relation to it.
    """
    n, V_m, V_s = jnp.array([1.0, 10.0, 1000.0]), 0.01, 20.0
    cycle = qtm.LifeCycle(
        selection=qtm.Stabilizing(0.0, V_s), mutation=qtm.GaussianMutation(V_m / (2 * n))
    )
    V_G = 2 * n * qtm.equilibrium(cycle, qtm.Moments(0.0, 1.0)).variance
    next_term = np.sqrt(V_m / (2 * n * V_s)) / 2
    np.testing.assert_allclose(
        V_G / np.sqrt(2 * n * V_m * V_s) - 1, next_term, rtol=float(next_term.max())
    )


@pytest.mark.parametrize("mu", [1e-3, 1e-4])
def test_rare_alleles_of_large_effects_hold_turellis_variance(mu):
    """V_G = 4 n mu V_s, each of 2 n alleles with 2 mu V_s (Turelli 1984), whatever the effects.

    It is the limit mu V_s << alpha^2 << V_s of Kingman's density, which one generation leaves as it
    is. With V_s = alpha^2/sqrt(mu) what is neglected is of the order sqrt(mu).
    """
    alpha2, V_s = 1.0, 1 / np.sqrt(mu)
    z = np.linspace(-8, 8, 2049)
    mutants = qtm.Density.normal(0.0, alpha2, -8.0, 8.0, 2049)
    m, step = np.asarray(mutants.density), float(mutants.step)
    w = np.exp(-(z**2) / (2 * V_s))
    density = lambda W: mu * m * W / (W - (1 - mu) * w)
    W = brentq(lambda W: density(W).sum() * step - 1, (1 - mu) * (1 + 1e-9), 1.0, xtol=1e-15)
    held = qtm.Density(z, density(W))
    cycle = qtm.LifeCycle(
        selection=qtm.Stabilizing(0.0, V_s), mutation=qtm.HouseOfCards(mu, 0.0, alpha2)
    )
    np.testing.assert_allclose(cycle.step(held).density, held.density, rtol=1e-8)
    assert abs(held.variance / (2 * mu * V_s) - 1) < 4 * np.sqrt(mu)


# A moving optimum


class Fluctuating(eqx.Module):
    """The optimum k t + e_t with e_t ~ N(0, V_theta), e_t by a key."""

    k: float
    variance: float
    key: jax.Array

    def __call__(self, t):
        return self.k * t + jnp.sqrt(self.variance) * jr.normal(jr.fold_in(self.key, t))


def test_the_mean_behind_a_fluctuating_optimum():
    """Var(mean) = [(V_g + V_s)^2/(N (V_g + 2 V_s)) + V_g V_theta/(V_g + 2 V_s)] (1 - (1 - s)^2t)
    between replicates, the lag (k/s)(1 - (1 - s)^t) (Bürger & Lynch 1995, Evolution 49:151-163).

    Either source of the variance is half of it here; V_g drifts by so little that it counts as
    held.
    """
    k, V_g, V_s, V_theta, N, T = 0.05, 0.5, 5.0, 0.06, 1000, 25
    V_m = V_g / (1 - 1 / N) - V_g * V_s / (V_g + V_s)

    def path(key):
        form = qtm.Stabilizing(Fluctuating(k, V_theta, jr.fold_in(key, 0)), V_s)
        cycle = qtm.LifeCycle(selection=form, mutation=qtm.GaussianMutation(V_m), size=N)
        return qtm.evolve(cycle, qtm.Moments(0.0, V_g), T, key=jr.fold_in(key, 1)).mean

    mean = np.asarray(jax.jit(jax.vmap(path))(jr.split(jr.key(5), 4000)))
    s, t = V_g / (V_g + V_s), np.arange(T + 1)
    # selection in generation t meets the optimum k t and the mean of t - 1
    within(k * t[1:] - mean[:, :-1], k / s * (1 - (1 - s) ** t[1:]))
    at_rest = ((V_g + V_s) ** 2 / N + V_g * V_theta) / (V_g + 2 * V_s)
    off = mean - mean.mean(axis=0)
    within(off[:, 1:] ** 2 * 4000 / 3999, at_rest * (1 - (1 - s) ** (2 * t[1:])))


# Drift: how far the mean wanders


def wandered(inheritance, N, generations, count, **parts):
    """Variance, and squared distance of the mean from where it began, of refitted replicates."""
    cycle = qtm.LifeCycle(inheritance, size=N, **parts)
    first = qtm.LifeCycle(size=N)

    def one(key):
        start = first.step(qtm.Moments(0.0, 1.0), jr.fold_in(key, 1))
        path = qtm.evolve(cycle, start, generations, key=jr.fold_in(key, 2))
        return path.variance, jnp.square(path.mean)

    return jax.jit(jax.vmap(one))(jr.split(jr.key(9), count))


def test_accumulation_loses_no_square_but_to_the_mean():
    """E[V_t] + E[(m_t - m_0)^2] = V_0, as for replacing, although V_t comes to rest; so
    E[(m_t - m_0)^2] = V_0 [1 - prod_j (1 - 1/(N j^2))]."""
    N, generations = 5, 8
    variance, square = wandered(qtm.Refit(accumulate=True), N, generations, 8000)
    j = np.arange(1, generations + 2)
    within(variance + square, 1.0)
    within(square, 1 - np.cumprod(1 - 1 / (N * j**2)))


# Sampling error of what is measured


def test_sampling_error_of_a_gaussian():
    """m^ ~ N(m, V/n) and s^2 ~ V chi2_{n-1}/(n - 1), independent of each other."""
    n, m, V = 8, 0.4, 1.7
    step = lambda key: qtm.LifeCycle(size=n).step(qtm.Moments(m, V), key)
    drawn = jax.vmap(step)(jr.split(jr.key(1), 4000))
    mean, s2 = np.asarray(drawn.mean), np.asarray(drawn.variance) * n / (n - 1)
    assert scipy.stats.kstest(mean, scipy.stats.norm(m, np.sqrt(V / n)).cdf).pvalue > 0.01
    chi2 = scipy.stats.chi2(n - 1, scale=V / (n - 1))
    assert scipy.stats.kstest(s2, chi2.cdf).pvalue > 0.01
    assert abs(np.corrcoef(mean, s2)[0, 1]) < 4 / np.sqrt(4000)


def test_sampling_error_of_what_is_not_gaussian():
    """Var(s^2) = mu_4/n - V^2 (n - 3)/(n (n - 1)), Cov(m^, s^2) = kappa_3/n: images drawn from a
    skewed population, whose mean and variance err together."""
    n, count = 12, 10_000
    z = scipy.stats.expon.ppf((np.arange(300) + 0.5) / 300)
    start, cycle = qtm.Individuals(z), qtm.LifeCycle(size=n)
    drawn = jax.jit(jax.vmap(lambda key: cycle.step(start, key)))(jr.split(jr.key(2), count))
    mean = np.mean(drawn.values, axis=1)
    s2 = np.var(drawn.values, axis=1, ddof=1)
    V, third, fourth = (np.mean((z - z.mean()) ** k) for k in (2, 3, 4))
    within(s2, V)
    within((s2 - V) ** 2, fourth / n - V**2 * (n - 3) / (n * (n - 1)))
    within((mean - z.mean()) * (s2 - V), third / n)
    assert third / n > 0.1  # a Gaussian would have 0
