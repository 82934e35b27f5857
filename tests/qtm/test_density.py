"""Densities on a grid: what they answer, what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import qtm
from qtm.states.grid import carried, convolved


def test_normal_has_its_moments_and_cdf():
    state = qtm.Density.normal([0.0, 1.0], [1.0, 4.0])
    np.testing.assert_allclose(state.mean, [0, 1], atol=1e-12)
    np.testing.assert_allclose(state.variance, [1, 4], rtol=1e-12)
    z = np.linspace(-6, 8, 41)[:, None]
    expected = scipy.stats.norm([0, 1], [1, 2]).cdf(z)
    np.testing.assert_allclose(state.cdf(z), expected, atol=1e-8)
    assert state.cdf(0.0).shape == (2,)
    np.testing.assert_allclose(jnp.sum(state.density, axis=0) * state.step, 1.0)


def test_cells_share_out_the_population():
    state = qtm.Density.normal(0.5, 2.0, points=513)
    z = state.grid
    parts = state.below(z) + state.tied(z) + state.above(z)
    np.testing.assert_allclose(parts, 1.0, rtol=1e-12)
    assert jnp.all(state.above(z) >= 0)
    tail = scipy.stats.norm(0.5, np.sqrt(2)).sf(np.asarray(z) + float(state.step) / 2)
    far = np.asarray(z) > 8
    np.testing.assert_allclose(state.above(z)[far][:-40], tail[far][:-40], rtol=0.05)


def test_any_density_is_scaled():
    state = qtm.Density(np.linspace(-1, 1, 101), np.where(np.linspace(-1, 1, 101) > 0, 7.0, 0.0))
    np.testing.assert_allclose(jnp.sum(state.density) * state.step, 1.0)
    np.testing.assert_allclose(state.mean, 0.51, rtol=1e-12)


def test_an_affine_map_moves_every_moment():
    z = np.linspace(-16, 16, 2049)
    skewed = qtm.Density(z, scipy.stats.skewnorm(4.0).pdf(z))
    for stretch in (0.4, 1.0, 1.7):
        after = carried(skewed, jnp.asarray(0.5), jnp.asarray(stretch))
        np.testing.assert_allclose(after.mean, 0.5, atol=1e-6)
        np.testing.assert_allclose(after.variance, stretch**2 * skewed.variance, rtol=1e-6)
        third = lambda s: jnp.sum((s.grid - s.mean) ** 3 * s.density) * s.step
        np.testing.assert_allclose(third(after), stretch**3 * third(skewed), rtol=1e-5)


def test_convolution_adds_jumps():
    state = qtm.Density.normal(0.0, 1.0, -8.0, 8.0, points=65)
    kernel = jnp.zeros(129).at[64 + 3].set(1.0)
    after = convolved(state, kernel)
    np.testing.assert_allclose(after.density[3:], state.density[:-3], rtol=1e-9)


def test_a_cycle_of_densities_compiles_and_differentiates():
    start = qtm.Density.normal(0.0, 1.0, -12.0, 12.0, points=257)

    @jax.jit
    def variance(width2):
        cycle = qtm.LifeCycle(
            qtm.Regression(0.8, 0.1, 1.2),
            qtm.Stabilizing(0.5, width2),
            qtm.GaussianMutation(0.1),
        )
        return qtm.evolve(cycle, start, 3).variance[-1]

    central = (variance(2 + 1e-5) - variance(2 - 1e-5)) / 2e-5
    np.testing.assert_allclose(jax.grad(variance)(2.0), central, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.Density([0.0, 1.0], [1.0, 1.0]), "G at least 8"),
        (lambda: qtm.Density(np.arange(9.0), np.ones(8)), "with G = 9 as the grid"),
        (lambda: qtm.Density(np.arange(9.0) ** 2, np.ones(9)), "grid must increase in even steps"),
        (lambda: qtm.Density(np.arange(9.0), -np.ones(9)), "density must be at least 0, got -1"),
        (lambda: qtm.Density(np.arange(9.0), np.zeros(9)), "greater than 0 somewhere"),
        (lambda: qtm.Density.normal(0, 1, low=-2, high=2), "at the edge of its grid must be below"),
        (lambda: qtm.Density.normal(0, 1e-9, low=-2, high=2), "in steps of its grid must be at le"),
        (
            lambda: qtm.LifeCycle(size=5).step(qtm.Density.normal()),
            "size must be None for a Density, which is infinite, got 5",
        ),
        (
            lambda: qtm.LifeCycle(mutation=qtm.GaussianMutation([0.1, 0.2])).step(
                qtm.Density.normal()
            ),
            r"density must have shape \[G, ...\] with the trait axes \(2,\)",
        ),
        (
            lambda: qtm.evolve(
                qtm.LifeCycle(selection=qtm.Directional(0.5)), qtm.Density.normal(), 30
            ),
            "fraction of the density at the edge of its grid must be below 1e-06",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_what_leaves_the_grid_inside_jit_is_nan_and_said():
    cycle = qtm.LifeCycle(selection=qtm.Directional(0.5))
    start = qtm.Density.normal(points=257)
    path = jax.jit(lambda c, s: qtm.evolve(c, s, 30))(cycle, start)
    defined = np.asarray(path.defined)
    assert defined[:10].all()
    assert not defined[-1]
    assert (np.diff(defined.astype(int)) <= 0).all()
