"""Families of prompts under guidance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qtm


def test_response_is_one_without_guidance_and_linear_without_families():
    np.testing.assert_allclose(qtm.response(1.0, [0.1, 1.0, 9.0], 1.0), 1.0, rtol=1e-13)
    w = jnp.array([0.0, 0.7, 3.0, 20.0])
    np.testing.assert_allclose(qtm.response(w, 0.4, 0.0), w, rtol=1e-13)


@pytest.mark.parametrize(("V_W", "V_B"), [(0.5, 0.5), (0.1, 1.0), (2.0, 0.7), (1e-4, 1.0)])
def test_response_rises_to_a_peak_and_falls_to_its_limit(V_W, V_B):
    """A(w) = (1/a) [1 + (1 - a)/(a (w - 1)) + ...] for large w, with a = V_B/(V_W + V_B)."""
    A = qtm.response(jnp.linspace(0, 800, 1601), V_W, V_B)
    peak = int(jnp.argmax(A))
    assert jnp.all(jnp.diff(A)[:peak] > 0)
    assert jnp.all(jnp.diff(A)[peak:] < 0)
    a = V_B / (V_W + V_B)
    np.testing.assert_allclose(A[-1] * a - 1, (1 - a) / (a * 799), rtol=0.03)


def test_response_is_how_guidance_moves_a_family():
    V_W, V_B, w = 0.5, 0.8, 3.0
    guidance = qtm.Guidance(w, qtm.Moments(0.0, V_W + V_B))
    after = guidance.moments(qtm.Moments([-1.0, 0.5], V_W))
    np.testing.assert_allclose(after.mean, qtm.response(w, V_W, V_B) * jnp.array([-1.0, 0.5]))
    np.testing.assert_allclose(after.variance, V_W**w * (V_W + V_B) ** (1 - w))


@pytest.mark.parametrize("h", [0.6, 0.8, 0.95, 1.0])
def test_neutral_scale_keeps_families_apart(h):
    V_W, V_B = jnp.array([0.5, 2.0, 30.0]), jnp.array([0.5, 0.4, 0.01])
    w = qtm.neutral_scale(h, V_W, V_B)
    np.testing.assert_allclose(h * qtm.response(w, V_W, V_B), 1.0, rtol=1e-10)
    if h == 1.0:
        np.testing.assert_allclose(w, 1.0, rtol=1e-10)


def test_neutral_scale_without_families_is_the_inverse_heritability():
    h = jnp.array([0.01, 0.25, 0.9])
    np.testing.assert_allclose(qtm.neutral_scale(h, 1.3, 0.0), 1 / h, rtol=1e-10)


def test_neutral_scale_exists_only_above_the_inverse_of_the_peak_and_is_the_smaller_root():
    scales = jnp.linspace(1, 30, 2901)
    A = qtm.response(scales, 0.5, 0.5)
    least = 1 / A.max()
    h = least + jnp.array([-least, -0.1, -1e-4, 1e-4, 0.02, 0.3])
    w = qtm.neutral_scale(h, 0.5, 0.5)
    assert jnp.isinf(w).tolist() == [True, True, True, False, False, False]
    assert jnp.all(w[3:] < scales[jnp.argmax(A)])


def test_neutral_scale_gradients():
    f = jax.jit(qtm.neutral_scale)
    x = (0.8, 0.6, 0.5)
    for i, slope in enumerate(jax.grad(f, argnums=(0, 1, 2))(*x)):
        up, down = list(x), list(x)
        up[i], down[i] = x[i] + 1e-5, x[i] - 1e-5
        np.testing.assert_allclose(slope, (f(*up) - f(*down)) / 2e-5, rtol=1e-7)
    assert jax.grad(f)(0.3, 0.5, 0.5) == 0.0
    assert jax.vmap(f)(jnp.full(2, 0.8), jnp.ones(2), jnp.ones(2)).shape == (2,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: qtm.response(np.nan, 1, 1), "scale must be finite, got nan"),
        (lambda: qtm.response(2, -1, 1), "within must be at least 0, got -1"),
        (lambda: qtm.response(2, 1, -1), "between must be at least 0, got -1"),
        (lambda: qtm.response(2, 0, 0), r"within \+ between must be greater than 0, got 0"),
        (lambda: qtm.neutral_scale(1.1, 1, 1), "heritability must be between 0 and 1, got 1.1"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
