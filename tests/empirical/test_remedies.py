"""Every remedy, found in its package: a recipe asks for it, and a chain runs with it."""

import tomllib

import numpy as np
import pytest
import torch

from empirical import recipe
from empirical.chain import loop
from empirical.guidance import Decay
from empirical.recipe import _members
from empirical.remedies import Remedy
from tests.helpers.tiny_chain import tiny

REMEDIES = _members(Remedy, "name")


@pytest.mark.parametrize("name", REMEDIES)
def test_a_recipe_asks_for_it_by_name_alone(name):
    asked = tiny(remedy={"name": name})
    assert type(asked.remedy) is REMEDIES[name]
    assert recipe.parse(tomllib.loads(recipe.dump(asked))) == asked
    settled = asked.settled()
    assert settled.settled() == settled
    assert recipe.parse(tomllib.loads(recipe.dump(settled))) == settled


@pytest.mark.parametrize("name", REMEDIES)
def test_it_changes_what_a_chain_does(name):
    """Settings, latents, or images to learn from: a remedy that does none of these is none."""
    asked = tiny(remedy={"name": name})
    remedy = asked.remedy
    values = np.random.default_rng(0).normal(size=(20, 3))
    kept = remedy.kept(lambda trait: values, [f"{i % 4}" for i in range(20)])
    settled = asked.settled().model_copy(update={"remedy": None})
    changed = settled != tiny() or remedy.latent_noise() > 0
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
    asked = tiny(remedy={"name": "redifine", "probability": 0.3, "rate": 4.0}).settled()
    assert asked.finetune.condition_drop == 0.3
    assert asked.generate.guidance == Decay(rule="decay", scale=2.0, rate=4.0, floor=1.0)


def test_latent_noise_is_drawn_once_an_image_and_has_its_variance():
    from empirical.generator.finetuning import _noise_of_images

    noise = _noise_of_images(torch.zeros((400, 4, 8, 8)), seed=0, generation=1)
    error = np.sqrt(2 / noise.numel())
    assert abs(noise.var().item() - 1) < 4 * error
    again = _noise_of_images(torch.zeros((3, 4, 8, 8)), seed=0, generation=1)
    assert torch.equal(noise[:3], again)
    assert not torch.equal(again, _noise_of_images(torch.zeros((3, 4, 8, 8)), 0, 2))
