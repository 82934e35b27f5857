"""The mixture's densities and scores against scipy and automatic differentiation."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from qtm import mixture

C, D = 3, 4
LEVELS = [0.0, 0.3, 4.0]


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(C, D, D))
    V = roots @ roots.swapaxes(1, 2) / D + 0.1 * np.eye(D)
    return np.array([0.2, 0.5, 0.3]), rng.normal(size=(C, D)), V


@pytest.fixture(scope="module")
def full():
    return mixture.Mixture.of(*parameters())


@pytest.fixture(scope="module")
def flat():
    """Fitted to fewer images than traits: covariances are singular."""
    rng = np.random.default_rng(1)
    family = np.repeat([0, 1, 2], [3, 2, 4])
    return mixture.Mixture.fit(rng.normal(size=(9, 6)) + family[:, None], family)


def points(m, n=7):
    return np.random.default_rng(2).normal(size=(n, m.dimension)) * 1.5


def log_parts(m, z, s):
    """ln [p_c N(z; m_c, C_c + s^2)] [n, C], by scipy."""
    V = np.asarray(m.covariances) + s**2 * np.eye(m.dimension)
    log_N = [multivariate_normal(m.means[c], V[c]).logpdf(z) for c in range(m.families)]
    return np.log(np.asarray(m.weights)) + np.stack(log_N, axis=1)


@pytest.mark.parametrize("s", LEVELS)
@pytest.mark.parametrize("which", ["full", "flat"])
def test_density_and_responsibilities(which, s, request):
    m = request.getfixturevalue(which)
    if which == "flat":
        s = max(s, 0.05)  # a singular covariance has no density
    z, expected = points(m), log_parts(m, points(m), s)
    total = logsumexp(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(m.log_density(z, s), total[:, 0], rtol=1e-10)
    shares = np.exp(expected - total)
    np.testing.assert_allclose(m.responsibilities(z, s), shares, rtol=1e-8, atol=1e-13)


@pytest.mark.parametrize("s", LEVELS)
@pytest.mark.parametrize("which", ["full", "flat"])
def test_score_is_the_gradient_and_denoising_is_tweedies_formula(which, s, request):
    m = request.getfixturevalue(which)
    s = s if which == "full" else max(s, 0.05)
    z = points(m)
    gradient = jax.grad(lambda z: m.log_density(z, s).sum())(jnp.asarray(z))
    np.testing.assert_allclose(m.score(z, s), gradient, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(m.denoise(z, s), z + s**2 * m.score(z, s), rtol=1e-9, atol=1e-11)


def test_a_family_alone_has_the_score_of_one_gaussian(full):
    _, means, V = parameters()
    z, s = points(full), 0.7
    for c in range(C):
        expected = -np.linalg.solve(V[c] + s**2 * np.eye(D), (z - means[c]).T).T
        np.testing.assert_allclose(full.family(c).score(z, s), expected, rtol=1e-10)


def test_far_from_every_family_nothing_underflows(full):
    z = np.full((1, D), 1e4)
    p = full.responsibilities(z, 0.1)
    np.testing.assert_allclose(p.sum(), 1.0)
    assert np.isfinite(full.score(z, 0.1)).all()


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("d", [2, 12])
def test_fit_is_the_covariance_of_each_family(ddof, d):
    """With as many images as traits, and with fewer: unequal families, labels in any order."""
    rng = np.random.default_rng(3)
    labels = np.array(["b", "a", "c", "a", "b", "b", "c", "b", "b"])
    z = rng.normal(size=(9, d))
    m = mixture.Mixture.fit(z, labels, ddof)
    np.testing.assert_allclose(m.weights, [2 / 9, 5 / 9, 2 / 9])
    for c, label in enumerate("abc"):
        members = z[labels == label]
        np.testing.assert_allclose(m.means[c], members.mean(axis=0), atol=1e-14)
        np.testing.assert_allclose(m.covariances[c], np.cov(members.T, ddof=ddof), atol=1e-13)
    assert m.axes.shape == (3, d, min(d, 4))
    np.testing.assert_allclose(m.within, np.einsum("c,cii->i", m.weights, m.covariances))
    centre = np.average(m.means, axis=0, weights=m.weights)
    between = np.average(np.square(m.means - centre), axis=0, weights=m.weights)
    np.testing.assert_allclose(m.between, between)


def test_draws_have_the_moments_of_their_family(full):
    n = 6000
    family = np.arange(n) % C
    z = np.asarray(full.draw(mixture.keys_of(jr.key(0), 0, n), family))
    _, means, V = parameters()
    for c in range(C):
        members, k = z[family == c], n // C
        sd = np.sqrt(np.diag(V[c]))
        assert np.all(np.abs(members.mean(axis=0) - means[c]) < 4 * sd / np.sqrt(k))
        # Var(s_ij) = (V_ij^2 + V_ii V_jj)/(k - 1) of a Gaussian
        error = np.sqrt((V[c] ** 2 + np.outer(sd**2, sd**2)) / (k - 1))
        assert np.all(np.abs(np.cov(members.T) - V[c]) < 4 * error)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: m.of([1.0], np.zeros((2, 1)), np.ones((2, 1, 1))), "must have shapes"),
        (lambda m: m.of([-1.0], np.zeros((1, 1)), np.ones((1, 1, 1))), "weights must be at least"),
        (lambda m: m.of([0.0], np.zeros((1, 1)), np.ones((1, 1, 1))), "sum of weights"),
        (lambda m: m.of([1.0], [[np.nan]], np.ones((1, 1, 1))), "means must be finite, got nan"),
        (lambda m: m.of([1.0], np.zeros((1, 2)), [[[1.0, 0.5], [0.2, 1.0]]]), "asymmetry"),
        (lambda m: m.of([1.0], np.zeros((1, 2)), [[[1.0, 2.0], [2.0, 1.0]]]), "eigenvalue"),
        (lambda m: m.fit(np.zeros((3, 2)), ["a", "b", "b"]), "more than ddof = 1 .* 'a'"),
        (lambda m: m.fit(np.zeros((3, 2)), ["a"]), r"shapes \[n, d\] and \[n\] .* \(1,\)"),
        (lambda m: m.fit(np.zeros((0, 2)), []), "with n at least 1"),
        (lambda m: m.fit(np.full((3, 2), np.inf), [1, 1, 1]), "values must be finite, got inf"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make(mixture.Mixture)


def test_a_singular_covariance_has_no_density_without_noise(flat, full):
    with pytest.raises(ValueError, match="level, where a covariance is singular, must be greater"):
        flat.score(points(flat), 0.0)
    with pytest.raises(ValueError, match=r"z must have shape \[n, 4\]"):
        full.score(np.zeros((2, 3)), 1.0)
