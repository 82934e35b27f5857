"""Middle, tails, soft truncation, best of n, disruptive, any fitness: against scipy and sources."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats
from scipy.integrate import quad

import qtm

UNIT = qtm.Moments(mean=0.0, variance=1.0)
STATE = qtm.Moments(mean=1.5, variance=4.0)
normal = scipy.stats.norm


# Middle and tails: truncated normal distributions (Walsh & Lynch 2018, ch. 14)


@pytest.mark.parametrize("p", [1e-3, 0.05, 0.3, 0.68, 0.7, 0.95, 0.999])
def test_middle_against_truncnorm(p):
    """x = Phi^-1(1/2 + p/2), V* = V (1 - 2 x phi(x)/p)."""
    x = normal.ppf(0.5 + p / 2)
    after = qtm.Middle(p).moments(STATE)
    assert after.mean == 1.5
    np.testing.assert_allclose(after.variance / 4, scipy.stats.truncnorm(-x, x).var(), rtol=1e-8)
    if p > 0.01:  # the formula itself loses its digits below
        np.testing.assert_allclose(after.variance / 4, 1 - 2 * x * normal.pdf(x) / p, rtol=1e-9)


@pytest.mark.parametrize("p", [1e-12, 1e-3, 0.3, 0.9, 1.0])
def test_tails_against_truncnorm(p):
    """x = Phi^-1(1 - p/2), V* = V (1 + 2 x phi(x)/p): the mean square of the upper tail."""
    x = normal.isf(p / 2)
    after = qtm.Tails(p).moments(STATE)
    assert after.mean == 1.5
    np.testing.assert_allclose(after.variance / 4, 1 + 2 * x * normal.pdf(x) / p, rtol=1e-10)
    if p > 1e-6:
        tail = scipy.stats.truncnorm(x, np.inf)
        np.testing.assert_allclose(after.variance / 4, tail.moment(2), rtol=1e-8)


def test_an_interval_is_any_fitness():
    """Z = Phi(b) - Phi(a): mean (phi(a) - phi(b))/Z, variance 1 + (a phi(a) - b phi(b))/Z - mean^2.

    A jump in a fitness is of first order in the grid that takes the moments, 0.012 sd.
    """
    a, b = -0.5, 1.2
    inside = qtm.Fitness(lambda z: jnp.where((z > a) & (z < b), 0.0, -jnp.inf))
    after = inside.moments(UNIT)
    Z = normal.cdf(b) - normal.cdf(a)
    mean = (normal.pdf(a) - normal.pdf(b)) / Z
    variance = 1 + (a * normal.pdf(a) - b * normal.pdf(b)) / Z - mean**2
    np.testing.assert_allclose([after.mean, after.variance], [mean, variance], atol=6e-3)


@pytest.mark.parametrize("kept_by", [qtm.Middle, qtm.Tails], ids=["Middle", "Tails"])
def test_middle_and_tails_keep_the_right_individuals(kept_by):
    state = qtm.Individuals(jnp.arange(10.0))
    kept = {p: kept_by(p).log_fitness(state.values, state) == 0 for p in (1e-12, 0.2, 0.4, 1.0)}
    expected = {
        qtm.Middle: {1e-12: [4, 5], 0.2: [4, 5], 0.4: [3, 4, 5, 6], 1.0: list(range(10))},
        qtm.Tails: {1e-12: [0, 9], 0.2: [0, 9], 0.4: [0, 1, 8, 9], 1.0: list(range(10))},
    }[kept_by]
    assert {p: np.flatnonzero(k).tolist() for p, k in kept.items()} == expected


def test_finite_truncation_has_burrows_intensity():
    """The best K of N: i - (N - K)/(2 K (N + 1) i) (Burrows 1972, Biometrics 28:1091-1100)."""
    N, K, count = 20, 5, 20_000
    p = K / N
    z = jr.normal(jr.key(5), (N, count), dtype=jnp.float64)
    state = qtm.Individuals(z)
    alive = qtm.Truncation(p).log_fitness(z, state) == 0
    assert jnp.all(alive.sum(axis=0) == K)
    mean = np.asarray(jnp.sum(jnp.where(alive, z, 0.0), axis=0) / K)
    i = float(qtm.Truncation(p).moments(UNIT).mean)
    burrows = i - (N - K) / (2 * K * (N + 1) * i)
    error = mean.std() / np.sqrt(count)
    # the formula is itself an approximation, good to a few parts in a thousand here
    assert abs(mean.mean() - burrows) < 4 * error + 2e-3
    assert abs(mean.mean() - i) > 10 * error


# Soft truncation


def test_soft_truncation_is_truncation_of_a_noisy_index():
    p, s = 0.3, 0.8
    hard, soft = (form.moments(UNIT) for form in (qtm.Truncation(p), qtm.SoftTruncation(p, s)))
    rho2 = 1 / (1 + s**2)
    np.testing.assert_allclose(soft.mean, np.sqrt(rho2) * hard.mean)
    np.testing.assert_allclose(1 - soft.variance, rho2 * (1 - hard.variance))
    w = lambda x: np.exp(qtm.SoftTruncation(p, s).log_fitness(x, UNIT))
    survive = quad(lambda x: w(x) * normal.pdf(x), -12, 12)[0]
    np.testing.assert_allclose(survive, p, rtol=1e-10)
    nearly = qtm.SoftTruncation(p, 1e-8).moments(UNIT)
    np.testing.assert_allclose([nearly.mean, nearly.variance], [hard.mean, hard.variance])


# Best of n: order statistics of the normal distribution (David & Nagaraja 2003)


def test_best_of_n_has_the_known_moments():
    after = qtm.BestOf(jnp.array([1.0, 2.0, 3.0])).moments(UNIT)
    mean = [0.0, 1 / np.sqrt(np.pi), 1.5 / np.sqrt(np.pi)]
    third = 1 + np.sqrt(3) / (2 * np.pi) - 9 / (4 * np.pi)
    np.testing.assert_allclose(after.mean, mean, atol=1e-12)
    np.testing.assert_allclose(after.variance, [1.0, 1 - 1 / np.pi, third], atol=1e-12)


@pytest.mark.parametrize("n", [1.5, 40.0, 1e6, 1e12])
def test_best_of_n_against_quadrature(n):
    after = qtm.BestOf(n).moments(UNIT)
    log_p = lambda x: np.log(n) + (n - 1) * normal.logcdf(x) + normal.logpdf(x)
    m = float(after.mean)
    f = lambda x, k: np.exp(log_p(x)) * (x - m) ** k
    total, first, second = (
        quad(f, m - 9, m + 9, args=(k,), points=[m], limit=400)[0] for k in range(3)
    )
    np.testing.assert_allclose(total, 1, rtol=1e-9)
    assert abs(first) < 1e-9
    np.testing.assert_allclose(after.variance, second, rtol=1e-8)


def test_best_of_n_individuals_are_the_best_of_n_draws():
    """Rank r of N is the best of n draws with probability (r/N)^n - ((r - 1)/N)^n."""
    state = qtm.Individuals(jnp.array([3.0, 1.0, 2.0, 2.0]))
    p = jax.nn.softmax(qtm.BestOf(3.0).log_fitness(state.values, state))
    np.testing.assert_allclose(
        p, [1 - 0.75**3, 0.25**3, (0.75**3 - 0.25**3) / 2, (0.75**3 - 0.25**3) / 2], rtol=1e-12
    )


# Disruptive: Lande (1976) with omega^2 -> -omega^2


def test_disruptive_moments_and_mean_fitness():
    m, V, theta, w2 = 0.3, 0.8, -0.2, 2.0
    form = qtm.Disruptive(theta, w2)
    after = form.moments(qtm.Moments(m, V))
    np.testing.assert_allclose(after.mean, (w2 * m - V * theta) / (w2 - V))
    np.testing.assert_allclose(after.variance, V * w2 / (w2 - V))
    p = lambda z: np.exp(form.log_fitness(z, UNIT)) * normal(m, np.sqrt(V)).pdf(z)
    expected = np.sqrt(w2 / (w2 - V)) * np.exp((m - theta) ** 2 / (2 * (w2 - V)))
    np.testing.assert_allclose(quad(p, -20, 20)[0], expected, rtol=1e-8)


# Any fitness


def test_price_equation():
    """dm = Cov(w, z)/wbar, dV = Cov(w, (z - m)^2)/wbar - dm^2 (Price 1970, Nature 227:520-521)."""
    law = lambda z: -0.3 * z**4 + 0.5 * z
    fitness = qtm.Fitness(law)
    start = qtm.Density.normal(0.2, 0.8)
    z, p = np.asarray(start.grid), np.asarray(start.density * start.step)
    w, m, V = np.exp(law(z)), float(start.mean), float(start.variance)
    cov = lambda f: np.sum(p * w * f) - np.sum(p * w) * np.sum(p * f)
    wbar = np.sum(p * w)
    dm = cov(z) / wbar
    dV = cov((z - m) ** 2) / wbar - dm**2
    for after in (fitness.density(start), fitness.moments(qtm.Moments(m, V))):
        np.testing.assert_allclose(after.mean - m, dm, atol=1e-10)
        np.testing.assert_allclose(after.variance - V, dV, atol=1e-10)


def test_a_fitness_may_ask_the_population():
    best = qtm.Fitness(lambda z, population: 2.0 * jnp.log(jnp.maximum(population.cdf(z), 1e-300)))
    np.testing.assert_allclose(
        best.moments(STATE).mean, qtm.BestOf(3.0).moments(STATE).mean, rtol=1e-9
    )
    shifted = qtm.LifeCycle(selection=qtm.Fitness(lambda z: 5.0 * z)).step(UNIT)
    np.testing.assert_allclose([shifted.mean, shifted.variance], [5.0, 1.0], rtol=1e-10)
    path = qtm.evolve(qtm.LifeCycle(selection=best), UNIT, 3)
    assert jnp.all(path.defined)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.Middle(0.0), r"fraction must be in \(0, 1\], got 0"),
        (lambda: qtm.Tails(1.1), r"fraction must be in \(0, 1\], got 1.1"),
        (lambda: qtm.SoftTruncation(0.5, 0.0), "softness must be greater than 0, got 0"),
        (lambda: qtm.BestOf(0.5), "n must be at least 1 and finite, got 0.5"),
        (lambda: qtm.Disruptive(0.0, -1.0), "width2 must be greater than 0, got -1"),
        (lambda: qtm.Fitness(lambda a, b, c: a), "log_fitness must take z, or z and the pop"),
        (lambda: qtm.Fitness(3.0), "a function was expected, got 3.0"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
