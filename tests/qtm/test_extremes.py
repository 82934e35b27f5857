"""Extreme arguments: the right limit, or an error that names the parameter; never a silent nan."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import qtm
from qtm.selection import Selection

UNIT = qtm.Moments(mean=0.0, variance=1.0)
TINY = qtm.Moments(mean=0.3, variance=1e-300)


def test_moments_of_next_to_no_variance_stay_where_they_are(form):
    """V = 1e-300 and V = 0: finite, and the same to within 1e-10, for every form there is."""
    tiny, none = form.moments(TINY), form.moments(qtm.Moments(0.3, 0.0))
    for after in (tiny, none):
        assert jnp.isfinite(after.mean)
        assert jnp.isfinite(after.variance)
        assert after.variance >= 0
    np.testing.assert_allclose(tiny.mean, none.mean, atol=1e-10)
    np.testing.assert_allclose(tiny.variance, none.variance, atol=1e-10)
    if isinstance(form, Selection):
        np.testing.assert_allclose(none.mean, 0.3, atol=1e-10)


def test_one_individual_is_enough(form):
    one = qtm.Individuals([0.7])
    size = (1,) if isinstance(form, Selection) else ()
    after = form.individuals(one, jr.key(0), *size)
    assert jnp.isfinite(after.values).all()
    if isinstance(form, Selection):
        np.testing.assert_allclose(after.values, 0.7)


def test_a_cycle_of_one_image(selection):
    cycle = qtm.LifeCycle(selection=selection, size=1)
    assert cycle.step(UNIT).variance == 0
    path = qtm.evolve(cycle, UNIT, 2, key=jr.key(0))
    assert path.defined.all()
    refit = qtm.LifeCycle(qtm.Refit(), selection, size=1)
    assert jnp.isfinite(refit.step(qtm.Individuals([0.1]), jr.key(0)).values).all()


@pytest.mark.parametrize(
    "ranked",
    [
        qtm.Truncation,
        qtm.Middle,
        qtm.Tails,
        lambda fraction: qtm.SoftTruncation(fraction, 0.5),
        lambda fraction: qtm.BestOf(1 / fraction),
    ],
    ids=["Truncation", "Middle", "Tails", "SoftTruncation", "BestOf"],
)
def test_fractions_from_one_in_a_trillion_to_all(ranked):
    p = np.concatenate([np.logspace(-12, -1, 40), np.linspace(0.11, 0.99, 40)])
    p = np.concatenate([p, 1 - np.logspace(-2.1, -12, 40), [1.0]])
    moments = ranked(jnp.asarray(p)).moments(UNIT)
    assert jnp.isfinite(moments.mean).all()
    assert (moments.variance > 0).all()
    np.testing.assert_allclose([moments.mean[-1], moments.variance[-1]], [0, 1], atol=1e-12)
    for change in (jnp.diff(moments.mean), jnp.diff(moments.variance)):
        # monotone: selection only weakens from one fraction to the next
        assert (change >= -1e-9).all() or (change <= 1e-9).all()
    individuals = qtm.Individuals.normal(jr.key(0), size=100)
    for fraction in (1e-12, 1.0):
        after = ranked(fraction).individuals(individuals, jr.key(1), 50)
        assert jnp.isfinite(after.values).all()


def test_the_middle_of_next_to_nobody():
    """x = p sqrt(2 pi)/2, V* = V x^2/3 as p goes to 0."""
    for p in (1e-12, 1e-6):
        x = p * np.sqrt(2 * np.pi) / 2
        np.testing.assert_allclose(qtm.Middle(p).moments(UNIT).variance, x**2 / 3, rtol=1e-9)


# Undefined values: an error outside of jit, nan inside, and the trajectory says so

TILT = qtm.Guidance(3.0, UNIT, "tilt")
NOWHERE = {
    "width2 below the variance": (
        qtm.Disruptive(0.0, 0.5),
        "variance/width2 must be below 1 for disruptive selection, got 2",
    ),
    "width2 equal to the variance": (
        qtm.Disruptive(0.0, 1.0),
        "variance/width2 must be below 1 for disruptive selection, got 1",
    ),
    "nobody survives": (
        qtm.Fitness(lambda z: jnp.full_like(z, -jnp.inf)),
        "the greatest log fitness must be finite, got -inf",
    ),
    "fitness without a mean": (
        qtm.Fitness(lambda z: z**2),
        "standard deviations away must be below 1e-9: fitness grows too fast",
    ),
}


@pytest.mark.parametrize("name", NOWHERE)
def test_what_has_no_value_says_so(name):
    form, message = NOWHERE[name]
    with pytest.raises(ValueError, match=message):
        form.moments(UNIT)
    with pytest.raises(ValueError, match=message):
        qtm.evolve(qtm.LifeCycle(selection=form), UNIT, 3)
    inside = jax.jit(lambda V: qtm.evolve(qtm.LifeCycle(selection=form), qtm.Moments(0, V), 3))(1.0)
    assert jnp.isnan(inside.variance[1])
    assert inside.defined.tolist() == [True, False, False, False]


@pytest.mark.parametrize("name", ["width2 below the variance", "width2 equal to the variance"])
def test_a_density_cannot_follow_a_divergence_either(name):
    with pytest.raises(ValueError, match="fraction of the density at the edge of its grid"):
        NOWHERE[name][0].density(qtm.Density.normal())


def test_individuals_can_always_be_disrupted():
    after = qtm.Disruptive(0.0, 1e-3).individuals(qtm.Individuals([-1.0, 0.1, 2.0]), jr.key(0), 9)
    assert (after.values == 2.0).all()


def test_nobody_survives_among_individuals():
    dead = NOWHERE["nobody survives"][0]
    some = qtm.Individuals([0.0, 1.0])
    with pytest.raises(ValueError, match="the greatest log fitness must be finite, got -inf"):
        dead.individuals(some, jr.key(0), 3)
    inside = jax.jit(lambda s, k: dead.individuals(s, k, 3).values)(some, jr.key(0))
    assert jnp.isnan(inside).all()


def test_a_population_that_reaches_the_bound_on_its_way():
    """A tilt whose precision turns negative only as variance grows: the generation's own error."""
    cycle = qtm.LifeCycle(selection=TILT, mutation=qtm.GaussianMutation(0.3))
    start = qtm.Moments(0.0, 0.1)
    with pytest.raises(ValueError, match=r"tilt precision .* must be greater than 0, got -"):
        qtm.evolve(cycle, start, 50)
    inside = jax.jit(lambda c, s: qtm.evolve(c, s, 50))(cycle, start)
    first = int(np.argmin(inside.defined))
    assert first > 1
    assert not inside.defined[first:].any()
    shorter = qtm.evolve(cycle, start, first - 1)
    np.testing.assert_allclose(shorter.variance, inside.variance[:first])
    with pytest.raises(ValueError, match="must be greater than 0"):
        cycle.step(shorter.final)


def test_what_overflows_is_named_with_its_generation():
    cycle = qtm.LifeCycle(selection=qtm.Disruptive(0.0, 1.0 + 1e-9), mutation=qtm.NoMutation())
    huge = qtm.LifeCycle(selection=qtm.Directional(1e200))
    with pytest.raises(ValueError, match=r"must be finite, got a mean of inf .* in generation 1"):
        qtm.evolve(huge, qtm.Moments(0.0, 1e200), 2)
    with pytest.raises(ValueError, match="variance/width2 must be below 1"):
        qtm.evolve(cycle, UNIT, 3)
