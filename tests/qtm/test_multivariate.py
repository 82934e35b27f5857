"""Correlated traits in matrices: Lande (1979), Evolution 33:402-416."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.linalg import inv

import qtm

M0 = np.array([0.3, -0.2])
P = np.array([[1.0, 0.4], [0.4, 2.0]])
OMEGA = np.array([[4.0, -0.8], [-0.8, 3.0]])
THETA = np.array([1.0, 0.5])
V_M = np.array([[0.1, -0.03], [-0.03, 0.2]])
STATE = qtm.Moments.multivariate(mean=M0, covariance=P)


def test_stabilizing_selection_adds_precisions():
    """P* = (P^-1 + Omega^-1)^-1, m* = P* (P^-1 m + Omega^-1 theta)."""
    after = qtm.LifeCycle(selection=qtm.Stabilizing(THETA, OMEGA)).step(STATE)
    expected = inv(inv(P) + inv(OMEGA))
    np.testing.assert_allclose(after.covariance, expected, rtol=1e-12)
    np.testing.assert_allclose(after.mean, expected @ (inv(P) @ M0 + inv(OMEGA) @ THETA))


def test_the_gradient_is_that_of_log_mean_fitness():
    """beta = P^-1 s = grad ln Wbar."""

    def log_mean_fitness(m):
        d = m - THETA
        return -0.5 * d @ jnp.linalg.solve(jnp.asarray(P + OMEGA), d)

    s = qtm.Stabilizing(THETA, OMEGA).joint(STATE).mean - M0
    np.testing.assert_allclose(inv(P) @ s, jax.grad(log_mean_fitness)(jnp.asarray(M0)), rtol=1e-12)


def test_the_response_is_g_beta():
    """Directional selection of phenotypes moves breeding values by G beta."""
    E, beta = np.array([[0.5, 0.1], [0.1, 0.3]]), np.array([0.3, -0.2])
    model = qtm.Infinitesimal(genic_variance=P, environmental_variance=E)
    after = qtm.LifeCycle(model, qtm.Directional(beta)).step(STATE)
    np.testing.assert_allclose(after.mean - M0, P @ beta, rtol=1e-12)
    np.testing.assert_allclose(after.covariance, P, rtol=1e-12)
    clonal = qtm.LifeCycle(selection=qtm.Directional(beta)).step(STATE)
    np.testing.assert_allclose(clonal.mean - M0, P @ beta, rtol=1e-12)


def test_mutation_balances_stabilizing_selection():
    """P = Omega^1/2 f(Omega^-1/2 M Omega^-1/2) Omega^1/2, f(b) = (b + sqrt(b^2 + 4 b))/2."""
    cycle = qtm.LifeCycle(
        selection=qtm.Stabilizing(THETA, OMEGA), mutation=qtm.GaussianMutation(V_M)
    )
    held = qtm.equilibrium(cycle, STATE)
    after = cycle.step(held)
    np.testing.assert_allclose(after.covariance, held.covariance, rtol=1e-12)
    np.testing.assert_allclose(held.mean, THETA)
    path = qtm.evolve(cycle, STATE, 200)
    np.testing.assert_allclose(path.final.covariance, held.covariance, rtol=1e-10)
    np.testing.assert_allclose(path.variance[-1], jnp.diagonal(held.covariance), rtol=1e-10)


def test_uncorrelated_traits_are_those_of_moments():
    parts = {
        "inheritance": qtm.Regression([0.7, 0.4], [0.5, 0.0], [1.5, 1.0]),
        "selection": qtm.Stabilizing(THETA, [2.0, 5.0]),
        "mutation": qtm.GaussianMutation([0.1, 0.3]),
        "size": 30,
    }
    joint = qtm.Moments.multivariate(M0, np.diag(np.diag(P)))
    a = qtm.evolve(qtm.LifeCycle(**parts), joint, 5)
    b = qtm.evolve(qtm.LifeCycle(**parts), qtm.Moments(M0, np.diag(P)), 5)
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-12)
    np.testing.assert_allclose(a.variance, b.variance, rtol=1e-12)


def test_a_trait_without_variance_stays():
    after = qtm.Stabilizing(THETA, OMEGA).joint(qtm.Moments.multivariate(M0, np.diag([0.0, 1.0])))
    assert after.mean[0] == M0[0]
    np.testing.assert_array_equal(after.covariance[0], 0.0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.Moments.multivariate([0, 0], [1, 1]), r"shapes \[D\] and \[D, D\]"),
        (lambda: qtm.Moments.multivariate([0, 0], [[1, 2], [0, 1]]), "covariance must be symmet"),
        (lambda: qtm.Moments.multivariate([0, 0], [[1, 2], [2, 1]]), "no negative eigenvalue"),
        (lambda: qtm.Stabilizing(0, [[1, -2], [-2, 1]]), "least eigenvalue of width2 must be"),
        (lambda: qtm.GaussianMutation([[1, -2], [-2, 1]]), "least eigenvalue of variance must be"),
        (
            lambda: qtm.LifeCycle(selection=qtm.Truncation(0.5)).step(STATE),
            "Truncation has no form for JointMoments",
        ),
        (
            lambda: qtm.Stabilizing(0, OMEGA).moments(qtm.Moments([0, 0], 1)),
            "width2 must be greater than 0, got -0.8",
        ),
        (
            lambda: qtm.LifeCycle(mutation=qtm.GaussianMutation([1.0, 2.0, 3.0])).step(STATE),
            r"variance must be a number or have shape \(2,\) or \(2, 2\) for 2 traits",
        ),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
