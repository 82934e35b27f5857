"""JAX switched to 32 bits after qtm was loaded: refused wherever numbers are computed."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import qtm
from qtm import _forms, mixture

UNIT = qtm.Moments(mean=0.0, variance=1.0)
FAMILIES = qtm.Families(0.0, 0.5, 0.5)
CYCLE = qtm.LifeCycle(selection=qtm.Stabilizing(optimum=0.5, width2=4.0))
OF_FAMILIES = qtm.FamilyCycle(0.9, scale=2.0, base=FAMILIES)
PROMPTS = qtm.Prompts([[0.0], [1.0]], [[0.5]])
DENSITY = qtm.Density.normal(0.0, 1.0)
PEOPLE = qtm.Individuals.normal(jr.key(0), size=8)
JOINT = qtm.Moments.multivariate([0.0, 0.0], np.eye(2))
KEY = jr.key(1)
LABELS = np.repeat([0, 1], 4)
BASE = mixture.Mixture.fit(np.arange(16.0).reshape(8, 2) ** 1.1, LABELS)
LEVELS = mixture.NoiseLevels.preserving(steps=4)
SAMPLER = mixture.Sampler(LEVELS, 1.5)
OF_PROMPTS = qtm.PromptCycle(0.9, scale=2.0, base=PROMPTS, levels=LEVELS)


def of(point):
    return qtm.LifeCycle(selection=qtm.Directional(point["b"]))


# Objects made of numbers, by name; a test below asks for an entry for every name but forms.
MADE = {
    "BestOf": lambda: qtm.BestOf(3).moments(UNIT),
    "AtLevels": lambda: qtm.Guidance(qtm.AtLevels([2.0], [1.0]), UNIT).moments(UNIT),
    "ByNoise": lambda: qtm.Guidance(qtm.ByNoise(lambda s: s), UNIT).moments(UNIT),
    "Clonal": lambda: qtm.LifeCycle(inheritance=qtm.Clonal()).step(UNIT),
    "Density": lambda: qtm.Density.normal(0.0, 1.0),
    "Directional": lambda: qtm.Directional(0.1),
    "Disruptive": lambda: qtm.Disruptive(0.0, 9.0),
    "Families": lambda: qtm.Families(0.0, 0.5, 0.5),
    "FamilyCycle": lambda: OF_FAMILIES.step(FAMILIES),
    "Fitness": lambda: qtm.Fitness(lambda z: -(z**2)).moments(UNIT),
    "GaussianMutation": lambda: qtm.GaussianMutation(0.1).moments(UNIT),
    "Guidance": lambda: qtm.Guidance(2.0, UNIT),
    "HouseOfCards": lambda: qtm.HouseOfCards(0.1, 0.0, 1.0).moments(UNIT),
    "Individuals": lambda: qtm.Individuals.normal(jr.key(0), size=8),
    "Infinitesimal": lambda: qtm.Infinitesimal(0.5, 0.1),
    "JointMoments": lambda: qtm.Moments.multivariate([0.0], [[1.0]]),
    "LaplaceMutation": lambda: qtm.LaplaceMutation(0.1).moments(UNIT),
    "LifeCycle": lambda: CYCLE.step(UNIT),
    "Middle": lambda: qtm.Middle(0.5).moments(UNIT),
    "Moments": lambda: qtm.Moments(0.0, 1.0),
    "Neutral": lambda: qtm.LifeCycle().step(UNIT),
    "NoMutation": lambda: qtm.LifeCycle(mutation=qtm.NoMutation()).step(UNIT),
    "PromptCycle": lambda: OF_PROMPTS.step(PROMPTS),
    "Prompts": lambda: qtm.Prompts([[0.0]], [[1.0]]),
    "Refit": lambda: qtm.LifeCycle(inheritance=qtm.Refit(), size=9).step(UNIT, KEY, 1),
    "Regression": lambda: qtm.Regression(0.9, 0.0, 1.0).moments(UNIT),
    "SoftTruncation": lambda: qtm.SoftTruncation(0.5, 0.1).moments(UNIT),
    "Stabilizing": lambda: qtm.Stabilizing(0.0, 4.0),
    "StudentMutation": lambda: qtm.StudentMutation(0.1, 5.0).moments(UNIT),
    "Tails": lambda: qtm.Tails(0.5).moments(UNIT),
    "Truncation": lambda: qtm.Truncation(0.5).moments(UNIT),
    "equilibrium": lambda: qtm.equilibrium(CYCLE, UNIT),
    "evolve": lambda: qtm.evolve(CYCLE, UNIT, 2),
    "evolve_many": lambda: qtm.evolve_many(of, {"b": np.array([0.1])}, UNIT, 2),
    "neutral_scale": lambda: qtm.neutral_scale(0.9, 0.5, 0.5),
    "response": lambda: qtm.response(2.0, 0.5, 0.5),
    "sweep": lambda: qtm.sweep(of, {"b": [0.1]}, UNIT, 2),
    "mixture.Learning": lambda: mixture.Learning(0.9).learn(BASE, np.ones((8, 2)), LABELS),
    "mixture.Mixture": lambda: mixture.Mixture.fit(np.ones((8, 2)), LABELS),
    "mixture.NoiseLevels": lambda: mixture.NoiseLevels.exploding(0.1, 2.0, 3),
    "mixture.Sampler": lambda: mixture.Sampler(LEVELS, 2.0),
    "mixture.chain": lambda: mixture.chain(BASE, SAMPLER, 1, KEY, size=4),
    "mixture.populations": lambda: next(mixture.populations(BASE, SAMPLER, 1, KEY, size=4)),
    "mixture.sample": lambda: mixture.sample(BASE, BASE, np.array([0]), jr.split(KEY, 1), SAMPLER),
    # Populations that were there before.
    "means": lambda: PEOPLE.mean,
    "variances": lambda: PEOPLE.variance,
    "density": lambda: DENSITY.mean,
    "families": lambda: FAMILIES.variance,
    "joint": lambda: JOINT.variance,
    "steps": lambda: CYCLE.step(DENSITY),
    "individuals": lambda: CYCLE.step(PEOPLE, KEY),
    "score": lambda: BASE.score(np.ones((1, 2)), 0.1),
    "within": lambda: BASE.within,
    "draw": lambda: BASE.draw(jr.split(KEY, 1), np.array([0])),
}
# They hold what others have computed, or compute nothing of traits.
HOLDERS = {"Trajectory", "family", "mixture", "mixture.DivergenceError", "mixture.Path",
           "mixture.MixtureGenerator", "mixture.interval", "mixture.keys_of",
           "mixture.scaled_linear"}  # fmt: skip


@pytest.fixture
def single():
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", True)


@pytest.mark.parametrize("name", MADE)
def test_numbers_of_32_bits_are_refused(name, single):
    with pytest.raises(ValueError, match="switched to 32 bits since qtm was loaded"):
        MADE[name]()


def test_every_public_name_is_asked():
    public = {*qtm.__all__, *(f"mixture.{name}" for name in mixture.__all__)}
    assert public - HOLDERS - set(_forms.all_modules()) <= set(MADE)


def test_no_form_computes_with_32_bits(form, single):
    (part,) = (part for part in _forms.ABSTRACT if type(form).__name__ in _forms.modules(part))
    with pytest.raises(ValueError, match="switched to 32 bits since qtm was loaded"):
        qtm.LifeCycle(**{part: form}).step(UNIT, KEY, 1)


def test_switched_back_it_computes_as_before(single):
    jax.config.update("jax_enable_x64", True)
    path = qtm.evolve(CYCLE, UNIT, 3)
    assert path.mean.dtype == jnp.float64
