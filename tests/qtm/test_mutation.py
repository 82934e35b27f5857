"""Mutation on three resolutions, and the shapes of its noise."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats

import qtm

START = qtm.Density.normal(0.2, 0.8, low=-14.0, high=14.0)
GAUSSIAN = scipy.stats.norm(0.2, np.sqrt(0.8))


@pytest.mark.parametrize("V_m", [0.0, 1e-300, 1e-9, 1e-4, 4e-4, 0.01, 0.3])
@pytest.mark.parametrize("noise", [qtm.GaussianMutation, qtm.LaplaceMutation])
def test_variance_of_the_noise_is_exact_at_any_size(V_m, noise):
    """The step of the grid is 0.014: its square, 1.9e-4, lies in the middle of the variances."""
    after = noise(variance=V_m).density(START)
    np.testing.assert_allclose(after.mean, 0.2, atol=1e-12)
    np.testing.assert_allclose(after.variance, 0.8 + V_m, rtol=1e-11)


@pytest.mark.parametrize("V_m", [1e-4, 4e-4, 4.3e-4, 0.3])
def test_gaussian_noise_leaves_a_gaussian(V_m):
    after = qtm.GaussianMutation(V_m).density(START)
    expected = scipy.stats.norm(0.2, np.sqrt(0.8 + V_m)).pdf(np.asarray(START.grid))
    np.testing.assert_allclose(after.density, expected, atol=1e-8)


@pytest.mark.parametrize(
    ("noise", "law"),
    [
        (qtm.LaplaceMutation(0.5), scipy.stats.laplace(scale=0.5)),
        (qtm.StudentMutation(0.5, 7.0), scipy.stats.t(7.0, scale=np.sqrt(0.5 * 5 / 7))),
    ],
    ids=["Laplace", "Student"],
)
def test_the_shape_of_the_noise(noise, law):
    """Density and individuals have the law that scipy knows."""
    z = np.asarray(START.grid)
    at = z[::128]
    blurred = [np.sum(law.pdf(x - z) * GAUSSIAN.pdf(z)) * (z[1] - z[0]) for x in at]
    np.testing.assert_allclose(noise.density(START).density[::128], blurred, atol=5e-5)
    jumps = noise.individuals(qtm.Individuals(jnp.zeros(20_000)), jr.key(1)).values
    assert scipy.stats.kstest(np.asarray(jumps), law.cdf).pvalue > 0.01


def test_tails_of_student_beyond_the_grid_are_lost():
    """nu = 5: wider grids have more of the variance."""
    missing = []
    for reach in (40.0, 80.0):
        start = qtm.Density.normal(0.0, 1.0, low=-reach, high=reach)
        missing.append(1.3 - qtm.StudentMutation(0.3, 5.0).density(start).variance)
    assert 0 < missing[1] < missing[0] < 1e-4
    with pytest.raises(ValueError, match="fraction of the density at the edge of its grid must be"):
        qtm.StudentMutation(0.5, 2.1).density(START)


def test_house_of_cards_is_a_mixture():
    """m' = (1 - mu) m + mu m_h, V' = (1 - mu) V + mu V_h + mu (1 - mu)(m - m_h)^2."""
    form = qtm.HouseOfCards(rate=0.3, mean=-1.0, variance=0.5)
    after = form.density(START)
    mutants = scipy.stats.norm(-1, np.sqrt(0.5)).pdf(np.asarray(START.grid))
    np.testing.assert_allclose(after.density, 0.7 * START.density + 0.3 * mutants, atol=1e-12)
    moments = form.moments(qtm.Moments(0.2, 0.8))
    np.testing.assert_allclose(moments.mean, 0.7 * 0.2 - 0.3)
    np.testing.assert_allclose(moments.variance, 0.7 * 0.8 + 0.15 + 0.21 * 1.2**2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.LaplaceMutation(-1), "variance must be at least 0, got -1"),
        (lambda: qtm.StudentMutation(1, 2), "dof must be finite and greater than 2"),
        (lambda: qtm.StudentMutation(1, np.inf), "dof must be finite and greater than 2"),
        (lambda: qtm.HouseOfCards(1.2, 0, 1), "rate must be between 0 and 1, got 1.2"),
        (lambda: qtm.HouseOfCards(0.2, np.nan, 1), "mean must be finite, got nan"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
