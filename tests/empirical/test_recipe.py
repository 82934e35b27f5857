"""Recipes: the contract, and what is said of a wrong one."""

import tomllib

import pytest

from empirical import recipe
from empirical.errors import UserError
from empirical.guidance import GuidanceRule

CONTRACT = """
generations = 6
seed = 0
[model]
name = "digits"
[data]
name = "digits"
size = 500
[finetune]
rank = 8
steps = 200
batch_size = 64
learning_rate = 5e-4
start_from = "base"
training_set = "replace"
condition_drop = 0.0
[generate]
guidance = { rule = "constant", scale = 7.5 }
sampler = "ddim"
steps = 20
batch_size = 250
"""


def test_the_contract_is_the_default():
    assert recipe.parse(tomllib.loads(CONTRACT)) == recipe.parse({})


def test_a_recipe_is_the_same_after_writing_and_reading(tmp_path):
    for rule in ({"rule": "constant", "scale": 1}, {"rule": "decay", "scale": 7.5, "rate": 2}):
        ours = recipe.parse({"seed": 3, "generate": {"guidance": rule}, "data": {"name": 'a"\\b'}})
        (tmp_path / "r.toml").write_text(recipe.dump(ours))
        assert recipe.read(tmp_path / "r.toml") == ours


def test_every_guidance_rule_can_be_asked_for():
    for rule in GuidanceRule.__subclasses__():
        for example in rule.examples:
            table = {"generate": {"guidance": {"rule": rule.key(), **example}}}
            asked = recipe.parse(table)
            assert type(asked.generate.guidance) is rule
            assert recipe.parse(tomllib.loads(recipe.dump(asked))) == asked


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"generation": 3}, ["'generation'", "did you mean 'generations'"]),
        ({"finetune": {"stepz": 1}}, ["'finetune.stepz'", "did you mean 'steps'", "'rank'"]),
        (
            {"generate": {"guidance": {"rule": "constant", "scal": 1}}},
            ["guidance.scal'", "'scale'"],
        ),
        ({"finetune": {"steps": 0}}, ["'finetune.steps' is 0", "greater than 0"]),
        ({"data": {"size": -5}}, ["'data.size' is -5", "at least 2"]),
        ({"decay": 2.0}, ["unknown key 'decay'", "'generations'"]),
        ({"generate": {"decay": 2.0}}, ["unknown key 'generate.decay'", "'guidance'"]),
        (
            {"generate": {"guidance": {"rule": "constant", "scale": 1, "constant": 1}}},
            ["unknown key 'generate.guidance.constant'", "'scale'"],
        ),
        ({"generations": 2.5}, ["'generations' is 2.5", "whole number"]),
        ({"finetune": {"steps": "many"}}, ["'finetune.steps' is 'many'", "whole number"]),
        ({"data": {"size": True}}, ["'data.size' is True", "whole number"]),
        ({"finetune": 3}, ["'finetune' is 3", "table"]),
        ({"generate": {"guidance": {"rule": "cosine"}}}, ["'cosine'", "'constant', 'decay'"]),
        ({"generate": {"guidance": {"scale": 2.0}}}, ["rule", "missing", "'constant', 'decay'"]),
        ({"generate": {"guidance": {"rule": "decay", "scale": 2.0}}}, ["rate", "missing"]),
        ({"generate": {"sampler": "ddmi"}}, ["'generate.sampler' is 'ddmi'", "'ddim'"]),
        ({"finetune": {"training_set": "mixed"}}, ["'mixed'", "'replace'", "'mix'"]),
        ({"finetune": {"training_set": "mix"}}, ["'finetune.real_fraction' is 0", "above 0"]),
        ({"finetune": {"real_fraction": 0.2}}, ["'finetune.real_fraction' is 0.2", "'mix'"]),
        (
            {"finetune": {"micro_batches": 9, "batch_size": 8}},
            ["'finetune.micro_batches' is 9", "at most", "8"],
        ),
        ({"data": {"name": []}}, ["'data.name", "empty"]),
        ({"remedy": {"name": "prayer"}}, ["'remedy.name' is 'prayer'", "'redifine'"]),
        ({"remedy": {"probability": 0.1}}, ["'remedy.name' is missing", "'redifine'"]),
        (
            {"remedy": {"name": "condition_drop", "probabilty": 0.1}},
            ["unknown key 'remedy.probabilty'", "did you mean 'probability'"],
        ),
        (
            {"remedy": {"name": "condition_drop"}, "finetune": {"condition_drop": 0.5}},
            ["'finetune.condition_drop' is 0.5", "'condition_drop' sets it to 0.2"],
        ),
        (
            {
                "remedy": {"name": "redifine"},
                "generate": {"guidance": {"rule": "rescale", "scale": 2.0, "phi": 0.5}},
            },
            ["'redifine'", "'rescale'"],
        ),
        ({"finetune": {"start_from": "last"}}, ["'last'", "'base'", "'previous'"]),
        ({"finetune": {"condition_drop": 1.5}}, ["'finetune.condition_drop' is 1.5", "at most 1"]),
        ({"finetune": {"learning_rate": float("nan")}}, ["learning_rate' is nan"]),
        ({"seed": -1, "generations": 0}, ["'seed' is -1", "'generations' is 0"]),
    ],
)
def test_what_is_wrong_is_named_with_what_is_allowed(table, words):
    with pytest.raises(UserError) as error:
        recipe.parse(table)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_recipe(tmp_path):
    with pytest.raises(UserError, match="there is no recipe"):
        recipe.read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("generations = = 3")
    with pytest.raises(UserError, match="not valid TOML"):
        recipe.read(tmp_path / "bad.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        recipe.read(tmp_path / "binary.toml")
    with pytest.raises(UserError, match="cannot be read"):
        recipe.read(tmp_path)


@pytest.mark.parametrize(
    ("theirs", "ours", "same"),
    [
        ("photos", "elsewhere/photos", True),
        ("digits", "emoji", False),
        ("emoji", "emoji-families", False),
        ("photos", "emoji", False),
        (["digits", "a"], ["digits", "b"], True),
        (["digits", "a"], ["a", "digits"], False),
        (["a", "b"], ["a"], False),
    ],
)
def test_only_folders_may_have_moved(theirs, ours, same):
    first, second = (recipe.parse({"data": {"name": name}}) for name in (theirs, ours))
    assert (recipe.differences(first, second) == []) is same
