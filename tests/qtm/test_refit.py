"""Model collapse by refitting a Gaussian: replace, accumulate, inflow, bias, selection."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.special import digamma

import qtm

REAL = qtm.Moments(mean=0.0, variance=1.0)


def replicates(inheritance, N, generations, count, individuals=False, **parts):
    """Trajectories that start with N real images each."""
    cycle = qtm.LifeCycle(inheritance, size=N, **parts)

    def one(key):
        first, rest = jr.split(key)
        images = qtm.Individuals.normal(first, size=N)
        start = images if individuals else qtm.Moments(images.mean, images.variance)
        return qtm.evolve(cycle, start, generations, key=rest)

    path = jax.jit(jax.vmap(one))(jr.split(jr.key(2), count))
    return np.asarray(path.mean), np.asarray(path.variance)


def within(samples, expected, sigmas=4.0):
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert np.all(np.abs(samples.mean(axis=0) - expected) <= sigmas * error + 1e-12)


@pytest.mark.parametrize("individuals", [False, True])
def test_replace_with_maximum_likelihood(individuals):
    """E[V_t] = V_0 (1 - 1/N)^t, E[V_t] + E[m_t^2] = V_0 (Shumailov et al. 2024)."""
    N, t = 10, np.arange(7)
    mean, variance = replicates(qtm.Refit(), N, 6, 3000, individuals)
    within(variance, (1 - 1 / N) ** (t + 1))  # generation 0 is itself a sample of N
    within(variance + mean**2, 1.0)


@pytest.mark.parametrize("individuals", [False, True])
def test_replace_with_the_unbiased_variance(individuals):
    """E[V_t] = V_0 and E[m_t^2] = (t + 1) V_0/N, yet
    E ln V_t = ln V_0 + t [psi((N - 1)/2) + ln(2/(N - 1))] falls (Alemohammad et al. 2023)."""
    N, t = 10, np.arange(7)
    mean, variance = replicates(qtm.Refit(ddof=1), N, 6, 4000, individuals)
    unbiased = variance * N / (N - 1)
    within(unbiased, 1.0)
    within(mean**2, (t + 1) / N)
    within(np.log(unbiased), (t + 1) * (digamma((N - 1) / 2) + np.log(2 / (N - 1))))


@pytest.mark.parametrize("individuals", [False, True])
def test_accumulation_stops_the_collapse(individuals):
    """E[V_t] = V_0 prod_j (1 - 1/(N j^2)) (Gerstgrasser et al. 2024)."""
    N, generations = 5, 8
    _, variance = replicates(qtm.Refit(accumulate=True), N, generations, 4000, individuals)
    j = np.arange(1, generations + 2)
    within(variance, np.cumprod(1 - 1 / (N * j**2)))


def test_accumulation_without_a_key_has_its_limit():
    """prod over all j: sin(pi/sqrt N)/(pi/sqrt N)."""
    N = 5
    cycle = qtm.LifeCycle(qtm.Refit(accumulate=True), size=N)
    path = qtm.evolve(cycle, qtm.Moments(0.0, 1 - 1 / N), 20_000)
    x = np.pi / np.sqrt(N)
    np.testing.assert_allclose(path.variance[-1], np.sin(x) / x, rtol=2e-5)


@pytest.mark.parametrize("individuals", [False, True])
@pytest.mark.parametrize("a", [0.2, 0.5])
def test_inflow_of_fresh_data_holds_the_variance(a, individuals):
    """V* = c a V_0/(1 - c (1 - a)), c = 1 - 1/(N (2 - a)) at equilibrium."""
    N = 10
    inheritance = qtm.Refit(inflow=a, fresh=REAL)
    _, variance = replicates(inheritance, N, 40, 3000, individuals)
    c = 1 - 1 / (N * (2 - a))
    within(variance[:, -1], c * a / (1 - c * (1 - a)))


def test_inflow_without_a_key_leaves_out_the_wandering_mean():
    a, N = 0.3, 20
    cycle = qtm.LifeCycle(qtm.Refit(inflow=a, fresh=REAL), size=N)
    c = 1 - 1 / N
    held = qtm.equilibrium(cycle, qtm.Moments(0.4, 2.0))
    np.testing.assert_allclose(held.variance, c * a / (1 - c * (1 - a)), rtol=1e-9)
    np.testing.assert_allclose(held.mean, 0.0, atol=1e-9)


def test_biased_sampling():
    """E[V'] = lambda V with the unbiased variance (Alemohammad et al. 2023)."""
    N, bias = 10, 0.8
    _, variance = replicates(qtm.Refit(ddof=1, bias=bias), N, 5, 4000)
    within(variance * N / (N - 1), bias ** np.arange(6))


@pytest.mark.parametrize("individuals", [False, True])
def test_selection_and_mutation_balance_the_refit(individuals):
    """The model at rest has V* = V_m/(1 - (1 - k)(1 - 1/N)), of which N images show 1 - 1/N."""
    N, V_m, p = 12, 0.3, 0.4
    k = 1 - qtm.Truncation(p).moments(REAL).variance
    parts = {"selection": qtm.Truncation(p), "mutation": qtm.GaussianMutation(V_m)}
    _, variance = replicates(qtm.Refit(), N, 6, 300 if individuals else 4000, individuals, **parts)
    within(variance[:, -1], (1 - 1 / N) * V_m / (1 - (1 - k) * (1 - 1 / N)))


def test_selection_of_individuals_acts_on_the_model_itself():
    """Drawn from the selected density, not from earlier draws: no image is there twice."""
    cycle = qtm.LifeCycle(qtm.Refit(), qtm.Truncation(0.3), size=4000)
    start = qtm.Individuals.normal(jr.key(0), mean=[0.0, 5.0], variance=[1.0, 4.0], size=4000)
    after = cycle.step(start, jr.key(1))
    assert jnp.unique(after.values[:, 0]).size == 4000
    expected = qtm.Truncation(0.3).moments(qtm.Moments(start.mean, start.variance))
    error = jnp.sqrt(expected.variance / 4000)
    assert jnp.all(jnp.abs(after.mean - expected.mean) < 4 * error)
    np.testing.assert_allclose(after.variance, expected.variance, rtol=0.15)


@pytest.mark.parametrize(
    "refit",
    [
        qtm.Refit(bias=0.8, inflow=0.3, fresh=REAL),
        qtm.Refit(bias=0.8, accumulate=True),
        qtm.Refit(accumulate=True, inflow=0.3, fresh=qtm.Moments(0.5, 2.0)),
    ],
    ids=["inflow", "accumulate", "both"],
)
def test_density_has_the_training_set_of_moments(refit):
    """A mixture of densities has the moments of the mixture, to the rounding of sums on a grid."""
    cycle = qtm.LifeCycle(refit, qtm.Directional(0.3), qtm.GaussianMutation(0.2))
    start = qtm.Moments(0.2, 0.8)
    moments = qtm.evolve(cycle, start, 5)
    density = qtm.evolve(cycle, qtm.Density.normal(0.2, 0.8, -20.0, 20.0), 5)
    np.testing.assert_allclose(density.mean, moments.mean, atol=1e-10, rtol=0)
    np.testing.assert_allclose(density.variance, moments.variance, atol=1e-10, rtol=0)
    # the training set is no Gaussian, as far as generation 0 is one
    model = qtm.Density.normal(density.mean[-1], density.variance[-1], -20.0, 20.0)
    assert jnp.max(jnp.abs(density.final.density - model.density)) > 1e-3


def test_infinite_samples_leave_nothing_but_the_bias():
    after = qtm.LifeCycle(qtm.Refit(ddof=1, bias=0.5)).step(qtm.Moments(0.3, 2.0))
    assert (after.mean, after.variance) == (0.3, 1.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.Refit(ddof=-1), "ddof must be a whole number of at least 0, got -1"),
        (lambda: qtm.Refit(bias=-0.1), "bias must be at least 0, got -0.1"),
        (lambda: qtm.Refit(inflow=1.5, fresh=REAL), "inflow must be between 0 and 1, got 1.5"),
        (lambda: qtm.Refit(inflow=0.5), "inflow must be 0 without fresh"),
        (
            lambda: qtm.LifeCycle(qtm.Refit(ddof=1), size=1).step(REAL),
            "size must be greater than ddof = 1, got 1",
        ),
        (
            lambda: qtm.LifeCycle(qtm.Refit(accumulate=True), size=5).step(REAL),
            "generation must be given where the training set depends on it",
        ),
        (
            lambda: qtm.evolve(
                qtm.LifeCycle(qtm.Refit(accumulate=True)), qtm.Individuals([1.0]), 2, jr.key(0)
            ),
            "size of individuals that accumulate must be a whole number of at least 2, got 1",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
