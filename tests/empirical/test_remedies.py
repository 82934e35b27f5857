"""Every remedy, found in its package: a recipe asks for it, and a chain runs with it."""

import tomllib
from functools import reduce

import numpy as np
import pytest
import torch

from empirical import keys, recipe
from empirical.chain import loop
from empirical.guidance import Decay
from empirical.recipe_errors import members_of
from empirical.remedies import Remedy
from tests.helpers.tiny_chain import tiny

REMEDIES = members_of(Remedy, "name")


@pytest.mark.parametrize("name", REMEDIES)
def test_a_recipe_asks_for_it_by_name_alone(name):
    asked = tiny(remedy={"name": name})
    assert type(asked.remedy) is REMEDIES[name]
    assert recipe.parse(tomllib.loads(recipe.dump(asked))) == asked
    assert type(asked.settings) is recipe.Settings
    assert asked.settings.remedy == asked.remedy


@pytest.mark.parametrize("name", REMEDIES)
def test_it_changes_what_a_chain_does(name):
    """Settings, latents, or images to learn from: a remedy that does none of these is none."""
    asked = tiny(remedy={"name": name})
    remedy = asked.remedy
    values = np.random.default_rng(0).normal(size=(20, 3))
    kept = remedy.kept(lambda trait: values, [f"{i % 4}" for i in range(20)])
    settings = asked.settings.model_copy(update={"remedy": None})
    changed = settings != tiny().settings or remedy.latent_noise() > 0
    assert changed or (kept is not None and len(kept) < 20)


# One remedy that changes finetuning and guidance stands for all before a commit.
CHAINS = [
    pytest.param(name, marks=[] if name == "redifine" else pytest.mark.slow) for name in REMEDIES
]


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_runs_with_it(name, tmp_path):
    run = loop.run(tiny(generations=2, remedy={"name": name}), tmp_path / "run")
    assert len(run.generations()) == 3
    assert run.recipe.remedy.name == name


def test_redifine_is_a_drop_and_a_decay():
    asked = tiny(remedy={"name": "redifine", "probability": 0.3, "rate": 4.0}).settings
    assert asked.finetune.condition_drop == 0.3
    assert asked.generate.guidance == Decay(rule="decay", scale=2.0, rate=4.0, floor=1.0)


def test_settings_take_effect_once():
    """A copy with another remedy has other settings, which are not applied again."""
    plain = tiny()
    assert plain.settings.model_dump() == plain.model_dump()
    assert plain.settings is plain.settings
    drop = REMEDIES["condition_drop"](name="condition_drop", probability=0.4)
    changed = plain.model_copy(update={"remedy": drop})
    assert changed.settings.finetune.condition_drop == 0.4
    assert (plain.settings.finetune.condition_drop, changed.finetune.condition_drop) == (0, 0)
    assert changed == tiny(remedy={"name": "condition_drop", "probability": 0.4})
    assert not hasattr(changed.settings, "settings")


@pytest.mark.parametrize("name", REMEDIES)
def test_it_needs_no_more_of_a_recipe_than_it_declares(name):
    remedy = tiny(remedy={"name": name}).remedy
    given = {key: reduce(getattr, key.split("."), tiny()) for key in remedy.reads}
    changed = remedy.settings(given)
    flat = tiny(remedy={"name": name}).settings.flat()
    for key, value in keys.flatten(changed).items():
        assert flat[key] == value


def test_latent_noise_is_drawn_once_an_image_and_has_its_variance():
    from empirical.generator.finetuning import _noise_of_images

    noise = _noise_of_images(torch.zeros((400, 4, 8, 8)), seed=0, generation=1)
    error = np.sqrt(2 / noise.numel())
    assert abs(noise.var().item() - 1) < 4 * error
    again = _noise_of_images(torch.zeros((3, 4, 8, 8)), seed=0, generation=1)
    assert torch.equal(noise[:3], again)
    assert not torch.equal(again, _noise_of_images(torch.zeros((3, 4, 8, 8)), 0, 2))
