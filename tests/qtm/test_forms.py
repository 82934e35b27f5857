"""Laws of every form of selection, mutation and inheritance; new forms are found."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from scipy.integrate import simpson

import qtm
from qtm.selection import FitnessSelection, Selection

STATE = qtm.Moments(mean=0.2, variance=0.8)
DENSITY = qtm.Density.normal(STATE.mean, STATE.variance, low=-14.0, high=14.0)
ROUGH = (qtm.Truncation, qtm.Middle, qtm.Tails)  # fitness jumps


def test_individuals_agree_with_moments(selection, mutation, quantiles, agree):
    cycle = qtm.LifeCycle(selection=selection, mutation=mutation)
    start = quantiles()
    after = cycle.step(start, key=jax.random.key(3))
    agree(after, cycle.step(qtm.Moments(start.mean, start.variance)))


def test_density_agrees_with_moments(selection, mutation):
    """To 1e-8 where fitness is smooth: the closed forms hold for the Gaussian that is selected."""
    cycle = qtm.LifeCycle(selection=selection, mutation=mutation)
    density, moments = cycle.step(DENSITY), cycle.step(STATE)
    # ranks on a grid are of second order in its step, 0.014
    tolerance = 1e-4 if isinstance(selection, (*ROUGH, qtm.BestOf)) else 1e-8
    np.testing.assert_allclose(density.mean, moments.mean, atol=tolerance, rtol=0)
    np.testing.assert_allclose(density.variance, moments.variance, atol=tolerance, rtol=0)


def test_inherited_density_agrees_with_moments(inheritance):
    density, moments = inheritance.density(DENSITY), inheritance.moments(STATE)
    np.testing.assert_allclose(density.mean, moments.mean, atol=1e-8, rtol=0)
    np.testing.assert_allclose(density.variance, moments.variance, atol=1e-8, rtol=0)


def test_inherited_individuals_agree_with_moments(inheritance, quantiles, agree):
    start = quantiles()
    after = inheritance.individuals(start, jax.random.key(5))
    agree(after, inheritance.moments(qtm.Moments(start.mean, start.variance)))


def test_closed_form_agrees_with_fitness_on_a_grid(selection):
    """The fitness law, integrated over a Gaussian, gives the closed form."""
    if not isinstance(selection, FitnessSelection) and selection.operator != "tilt":
        return  # a transport map has no fitness; test_guidance has its ODE
    sd = float(jnp.sqrt(STATE.variance))
    z = float(STATE.mean) + sd * np.linspace(-12, 12, 200_001)
    weight = np.exp(-0.5 * ((z - STATE.mean) / sd) ** 2 + selection.log_fitness(z, STATE))
    total = simpson(weight, x=z)
    mean = simpson(weight * z, x=z) / total
    variance = simpson(weight * (z - mean) ** 2, x=z) / total
    closed = selection.moments(STATE)
    # a hard threshold falls between two nodes, so the quadrature is only of first order there
    step = z[1] - z[0]
    rough = isinstance(selection, ROUGH)
    np.testing.assert_allclose(closed.mean, mean, atol=2 * step if rough else 1e-9)
    np.testing.assert_allclose(closed.variance, variance, atol=2 * step if rough else 1e-9)


def test_moments_are_elementwise_under_vmap_and_jit(form):
    many = qtm.Moments(mean=jnp.array([-0.5, 0.2, 1.0]), variance=jnp.array([0.5, 0.8, 1.1]))
    whole = form.moments(many)
    each = [form.moments(qtm.Moments(m, V)) for m, V in zip(many.mean, many.variance, strict=True)]
    for other in (
        jax.vmap(form.moments)(many),
        jax.jit(lambda form, state: form.moments(state))(form, many),
        jax.tree.map(lambda *entries: jnp.stack(entries), *each),
    ):
        np.testing.assert_allclose(other.mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(other.variance, whole.variance, rtol=1e-12)


def test_gradients_agree_with_finite_differences(form):
    """In every parameter and in the moments of the population."""
    x, unravel = ravel_pytree((form, STATE))

    def f(x):
        form, state = unravel(x)
        after = form.moments(state)
        return jnp.stack([after.mean, after.variance])

    h = 1e-5 * jnp.eye(x.size)
    central = jnp.stack([(f(x + e) - f(x - e)) / 2e-5 for e in h], axis=1)
    np.testing.assert_allclose(jax.jacrev(f)(x), central, rtol=1e-7, atol=1e-8)


def test_gradients_stay_finite_without_variance(form):
    def f(form, V):
        after = form.moments(qtm.Moments(0.2, V))
        return after.mean + after.variance

    for gradient in jax.tree.leaves(jax.grad(f, argnums=(0, 1))(form, 0.0)):
        assert jnp.all(jnp.isfinite(gradient))


def test_individuals_keep_the_shape_of_traits(form):
    state = qtm.Individuals.normal(jax.random.key(0), mean=jnp.zeros((2, 3)), size=50)
    size = (40,) if isinstance(form, Selection) else ()
    after = form.individuals(state, jax.random.key(1), *size)
    assert after.values.shape == (*(size or (50,)), 2, 3)
    assert jnp.all(jnp.isfinite(after.values))
