"""How wrong a Gaussian closure is: the numbers in the docstrings, moments beside the density."""

import numpy as np
import pytest

import qtm

START = {"mean": 0.0, "variance": 1.0}
HALF = qtm.Regression(heritability=0.5, base_mean=0.0, base_variance=1.0)
SKEWED = qtm.HouseOfCards(rate=0.1, mean=3.0, variance=0.5)

# life cycle, range of the grid, {generation: variance of moments/variance of the density}
MEASURED = {
    "truncation": (
        qtm.LifeCycle(selection=qtm.Truncation(0.5), mutation=qtm.GaussianMutation(0.1)),
        (-12.0, 24.0),
        {1: 1.0, 2: 0.73, 5: 0.59, 20: 0.69},
    ),
    "tails": (
        qtm.LifeCycle(HALF, qtm.Tails(0.5)),
        (-16.0, 16.0),
        {1: 1.0, 2: 1.03, 5: 1.19, 40: 2.57},
    ),
    "disruptive": (
        qtm.LifeCycle(HALF, qtm.Disruptive(0.0, 10.0), SKEWED),
        (-20.0, 20.0),
        {1: 1.0, 2: 0.997, 5: 1.052, 40: 1.064},
    ),
    "house of cards": (
        qtm.LifeCycle(
            selection=qtm.Stabilizing(0.0, 1.0), mutation=qtm.HouseOfCards(0.1, 0.0, 1.0)
        ),
        (-12.0, 12.0),
        {1: 1.0, 3: 1.05, 5: 1.13, 40: 1.46},
    ),
}


@pytest.mark.parametrize("name", MEASURED)
def test_error_of_the_closure_is_as_documented(name):
    cycle, (low, high), ratios = MEASURED[name]
    T = max(ratios)
    moments = qtm.evolve(cycle, qtm.Moments(**START), T)
    density = qtm.evolve(cycle, qtm.Density.normal(**START, low=low, high=high, points=1025), T)
    ratio = np.asarray(moments.variance / density.variance)
    for t, documented in ratios.items():
        digits = 3 if name == "disruptive" else 2
        assert abs(ratio[t] - documented) <= 0.6 * 10.0**-digits, (t, ratio[t])
    if name == "truncation":
        behind = np.asarray((density.mean - moments.mean) / np.sqrt(density.variance))
        np.testing.assert_allclose(behind[[5, 20]], [0.41, 2.46], atol=0.006)


@pytest.mark.parametrize(
    "smooth",
    [
        qtm.Stabilizing(0.4, 3.0),
        qtm.Disruptive(0.1, 30.0),
        qtm.Directional(0.1),
        qtm.Guidance(1.2, qtm.Moments(0.0, 2.0), "tilt"),
        qtm.Guidance(1.2, qtm.Moments(0.0, 2.0), "ddim"),
        qtm.Guidance(1.2, qtm.Moments(0.0, 2.0), "ddpm"),
    ],
    ids=lambda form: type(form).__name__ + getattr(form, "operator", ""),
)
def test_there_is_no_error_where_a_gaussian_stays_gaussian(smooth):
    """Ten generations with inheritance and mutation, to 1e-8."""
    cycle = qtm.LifeCycle(qtm.Regression(0.8, 0.2, 1.1), smooth, qtm.GaussianMutation(variance=0.1))
    moments = qtm.evolve(cycle, qtm.Moments(**START), 10)
    density = qtm.evolve(cycle, qtm.Density.normal(**START, low=-14.0, high=14.0), 10)
    np.testing.assert_allclose(density.mean, moments.mean, atol=1e-8, rtol=0)
    np.testing.assert_allclose(density.variance, moments.variance, atol=1e-8, rtol=0)
