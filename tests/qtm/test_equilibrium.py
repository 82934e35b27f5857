"""Where evolution comes to rest, and where it does not."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from scipy.integrate import quad
from scipy.optimize import brentq

import qtm
from qtm.cycle import equilibrium
from qtm.inheritance import Inheritance
from qtm.mutation import Mutation
from qtm.selection import FitnessSelection

START = qtm.Moments(mean=0.3, variance=1.0)
TRUNCATED = qtm.LifeCycle(qtm.Regression(0.7, 0.0, 1.0), qtm.Truncation(0.5))


def test_mutation_and_stabilizing_selection():
    """V = [V_m + sqrt(V_m^2 + 4 V_m V_s)]/2 (Kimura 1965), also without iterating to it."""
    V_m, V_s = jnp.array([1e-12, 0.05, 3.0]), 4.0
    cycle = qtm.LifeCycle(selection=qtm.Stabilizing(1.0, V_s), mutation=qtm.GaussianMutation(V_m))
    held = qtm.equilibrium(cycle=cycle, state=START)
    np.testing.assert_allclose(held.variance, (V_m + np.sqrt(V_m**2 + 4 * V_m * V_s)) / 2)
    np.testing.assert_allclose(held.mean, 1.0)
    np.testing.assert_allclose(cycle.step(held).variance, held.variance, rtol=1e-12)


class Around(FitnessSelection):
    """A form from elsewhere, with the fitness exp(-(z - 1)^2/8)."""

    @property
    def gaussian_fitness(self):
        return jnp.asarray(1.0), jnp.asarray(4.0)

    def log_fitness(self, z, population):
        return -((z - 1) ** 2) / 8

    def moments(self, state):
        return qtm.Stabilizing(1.0, 4.0).moments(state)


class Nothing(Mutation):
    """A form from elsewhere."""

    @property
    def is_absent(self):
        return True

    def moments(self, state):
        return state


class Forgotten(Inheritance):
    """A form from elsewhere, which takes up nothing of a trait."""

    def moments(self, state):
        return qtm.Moments(0 * state.mean, 0 * state.variance)

    def balance(self, state, selection, mutation):
        return selection.moments(self.moments(state))


@pytest.mark.parametrize(
    ("heredity", "change"),
    [
        (qtm.Clonal(), qtm.GaussianMutation(0.3)),
        (qtm.Infinitesimal(1.1, 0.4), Nothing()),
        (Forgotten(), Nothing()),
    ],
    ids=lambda part: type(part).__name__,
)
def test_new_forms_have_closed_forms(heredity, change, monkeypatch):
    cycle = qtm.LifeCycle(heredity, Around(), change)
    path = qtm.evolve(cycle, START, 300)
    monkeypatch.setattr(equilibrium, "_iterated", None)
    held = qtm.equilibrium(cycle, START)
    np.testing.assert_allclose(held.mean, path.mean[-1], atol=1e-10)
    np.testing.assert_allclose(held.variance, path.variance[-1], rtol=1e-10)


def test_newton_finds_what_iteration_leads_to():
    held = qtm.equilibrium(TRUNCATED, START)
    path = qtm.evolve(TRUNCATED, START, 300)
    np.testing.assert_allclose(held.mean, path.mean[-1], rtol=1e-10)
    np.testing.assert_allclose(held.variance, path.variance[-1], rtol=1e-10)
    i, k = np.sqrt(2 / np.pi), 2 / np.pi  # V = (1 - k)[(1 - h) V_b + h V]
    V = (1 - k) * 0.3 / (1 - 0.7 * (1 - k))
    np.testing.assert_allclose(held.variance, V, rtol=1e-10)
    # m = m_b + S/(1 - h)
    S = i * np.sqrt(0.3 + 0.7 * V)
    np.testing.assert_allclose(held.mean, S / 0.3, rtol=1e-10)


def test_a_slow_cycle_is_reached_by_newton():
    """Nearly everything is inherited: 20,000 generations are not enough, h^20000 = 0.8."""
    h = 0.99999
    cycle = qtm.LifeCycle(qtm.Regression(h, 2.0, 1.0), mutation=qtm.GaussianMutation(0.01))
    held = qtm.equilibrium(cycle, START)
    np.testing.assert_allclose(held.mean, 2.0, rtol=1e-8)
    np.testing.assert_allclose(held.variance, 1.0 + 0.01 / (1 - h), rtol=1e-8)


def test_gradient_is_that_of_the_fixed_point():
    f = lambda h: (
        qtm.equilibrium(qtm.LifeCycle(qtm.Regression(h, 0.0, 1.0), qtm.Truncation(0.5)), START).mean
    )
    np.testing.assert_allclose(jax.grad(f)(0.7), (f(0.7 + 1e-5) - f(0.7 - 1e-5)) / 2e-5, rtol=1e-7)


def test_truncation_alone_ends_without_variance():
    held = qtm.equilibrium(qtm.LifeCycle(selection=qtm.Truncation(0.5)), START)
    i, k = np.sqrt(2 / np.pi), 2 / np.pi
    np.testing.assert_allclose(held.mean, 0.3 + i / (1 - np.sqrt(1 - k)), rtol=1e-9)
    assert held.variance < 1e-20


# Kingman (1978), J. Appl. Probab. 15:1-12: p(x) = mu m(x) W/(W - (1 - mu) w(x)), int p = 1


def kingman(mu, w, mutants):
    """Mean fitness W, and the mass that condenses at the greatest fitness 1."""
    ends = [0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 2.0, 12.0]

    def mass(W):
        density = lambda x: 2 * mu * mutants(x) * W / (W - (1 - mu) * w(x))
        return sum(quad(density, a, b)[0] for a, b in itertools.pairwise(ends))

    least = 1 - mu
    if mass(least * (1 + 1e-8)) > 1:
        return brentq(lambda W: mass(W) - 1, least * (1 + 1e-8), 1.0, xtol=1e-14), 0.0
    return least, 1 - mass(least)


def test_house_of_cards_has_kingmans_density():
    mu, w = 0.2, lambda x: np.exp(-(x**2) / 2)
    mutants = scipy.stats.norm(0, 1).pdf
    W, atom = kingman(mu, w, mutants)
    assert atom == 0.0
    cycle = qtm.LifeCycle(
        selection=qtm.Stabilizing(0.0, 1.0), mutation=qtm.HouseOfCards(mu, 0.0, 1.0)
    )
    held = qtm.equilibrium(cycle, qtm.Density.normal(0.0, 1.0, points=513))
    x = np.asarray(held.grid)
    expected = mu * mutants(x) * W / (W - (1 - mu) * w(x))
    np.testing.assert_allclose(held.density, expected, atol=1e-8)


def test_house_of_cards_without_a_root_condenses_at_the_fittest():
    """Fitness 1 - sqrt |x| is so sharp, and mutants are so rare there, that int p < 1 for every
    W > (1 - mu) w_max: the rest of the mass, an atom, gathers at the peak."""
    mu = 0.05
    w = lambda x: np.maximum(1 - np.sqrt(np.abs(x)), 0.0)
    mutants = lambda x: np.where(np.abs(x) < 2, np.abs(x) / 4, 0.0)
    W, atom = kingman(mu, w, mutants)
    assert atom > 0.5
    assert 1 - mu == W
    fitness = qtm.Fitness(lambda x: jnp.log(jnp.maximum(1 - jnp.sqrt(jnp.abs(x)), 1e-300)))
    grid = np.linspace(-2.5, 2.5, 1001)
    state = qtm.Density(grid, mutants(grid) + 1e-9 * (np.abs(grid) < 2))
    drawn = state.density
    for _ in range(600):
        selected = fitness.density(state).density
        state = qtm.Density(grid, (1 - mu) * selected + mu * drawn)
    share = np.asarray(state.density * state.step)
    peak = np.abs(grid) < 0.02
    np.testing.assert_allclose(share[peak].sum(), atom, atol=0.03)
    away = np.abs(grid) > 0.3
    smooth = mu * mutants(grid[away]) * W / (W - (1 - mu) * w(grid[away]))
    np.testing.assert_allclose(state.density[away], smooth, rtol=0.03, atol=1e-6)


@pytest.mark.parametrize(
    ("cycle", "message"),
    [
        (
            qtm.LifeCycle(mutation=qtm.GaussianMutation(0.1)),
            "there is no equilibrium that 20000 generations .* the variance from",
        ),
        (
            qtm.LifeCycle(selection=qtm.Truncation(0.5), mutation=qtm.GaussianMutation(0.1)),
            "there is no equilibrium that .* moves the mean from",
        ),
        (
            qtm.LifeCycle(
                selection=qtm.Guidance(3.0, qtm.Moments(0.0, 1.0), "tilt"),
                mutation=qtm.GaussianMutation(0.5),
            ),
            r"tilt precision w \+ \(1 - w\) V_c/V_u must be greater than 0, got",
        ),
        (
            qtm.LifeCycle(selection=qtm.Stabilizing(lambda t: 0.1 * t, 2.0)),
            "no equilibrium where the cycle depends on the generation",
        ),
        (
            qtm.LifeCycle(qtm.Refit(accumulate=True), size=5),
            "no equilibrium where the cycle depends on the generation",
        ),
    ],
)
def test_it_says_so_where_there_is_none(cycle, message):
    with pytest.raises(ValueError, match=message):
        qtm.equilibrium(cycle, START)


def test_none_inside_jit_is_nan():
    cycle = qtm.LifeCycle(selection=qtm.Directional(0.1))
    assert jnp.isnan(jax.jit(qtm.equilibrium)(cycle, START).mean)


def test_a_fixed_point_that_is_not_approached_is_none():
    """Without variance directional selection would rest, but it does not take variance away."""
    with pytest.raises(ValueError, match="there is no equilibrium"):
        qtm.equilibrium(qtm.LifeCycle(selection=qtm.Directional(0.1)), START)


def test_individuals_have_none():
    with pytest.raises(ValueError, match="individuals have no equilibrium"):
        qtm.equilibrium(qtm.LifeCycle(), qtm.Individuals([0.0, 1.0]))
