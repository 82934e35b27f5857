"""A run that someone has touched: named, and nothing recomputed wrongly."""

import shutil

import pytest

from empirical.chain import loop
from empirical.errors import UserError
from empirical.pipeline import model
from empirical.pipeline.adapters import WEIGHTS
from tests.helpers.tiny_chain import contents, tiny


@pytest.fixture
def folder(tiny_run, tmp_path):
    shutil.copytree(tiny_run.folder, tmp_path / "run")
    return tmp_path / "run"


CAPTIONS = "gen_001/images/metadata.jsonl"
LORA = f"gen_001/lora/{WEIGHTS}"


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        ("gen_001/images/00003.png", lambda p: p.unlink(), "is missing since generation 1"),
        ("gen_000/images/00003.png", lambda p: p.write_bytes(b"x"), "is changed since generation"),
        (LORA, lambda p: p.write_bytes(p.read_bytes()[:99]), "is changed since generation 1"),
        (LORA, lambda p: p.unlink(), "is missing since generation 1"),
        (CAPTIONS, lambda p: p.write_text(p.read_text().replace("two", "six")), "is changed since"),
        ("gen_001/features/latent.npy", lambda p: p.unlink(), "is missing since generation 1"),
        ("gen_002/done.json", lambda p: p.write_text("{"), "is damaged: delete it"),
    ],
)
def test_a_finished_generation_that_is_not_as_it_was_left(folder, tiny_run, name, spoil, words):
    spoil(folder / name)
    before = contents(folder)
    with pytest.raises(UserError, match=words) as error:
        loop.run(tiny(), folder)
    assert str(folder / name) in str(error.value)
    assert contents(folder) == before
    # As the sentence says: without it and done.json the generation is made up for.
    (folder / name).unlink(missing_ok=True)
    (folder / name.split("/")[0] / "done.json").unlink(missing_ok=True)
    loop.run(tiny(), folder)
    assert contents(folder) == contents(tiny_run.folder)


def test_a_damaged_adapter_of_an_unfinished_generation(folder, tiny_run):
    (folder / "gen_001" / "done.json").unlink()
    (folder / "gen_001" / "images" / "00001.png").unlink()
    (folder / LORA).write_bytes((folder / LORA).read_bytes()[:99])
    with pytest.raises(UserError, match="are damaged") as error:
        loop.run(tiny(), folder)
    assert str(folder / LORA) in str(error.value)
    (folder / LORA).unlink()
    loop.run(tiny(), folder)
    assert contents(folder) == contents(tiny_run.folder)


def test_a_recipe_edited_by_hand(folder):
    """Also where the edited file is itself the recipe that is asked for."""
    path = folder / "recipe.toml"
    path.write_text(path.read_text().replace("scale = 2.0", "scale = 3.0"))
    with pytest.raises(UserError, match=r"scale' is 3\.0 there and 2\.0 here"):
        loop.run(tiny(), folder)
    edited = tiny(generate={"guidance": {"rule": "constant", "scale": 3.0}})
    with pytest.raises(UserError, match="has been edited since generation 0 was made"):
        loop.run(edited, folder)
    with pytest.raises(UserError, match="has been edited since generation 0 was made"):
        loop.run(tiny(generations=3, generate=edited.generate.model_dump()), folder)
    with pytest.raises(UserError, match="2 generations, and 'generations' is 1 here"):
        loop.run(tiny(generations=1, generate=edited.generate.model_dump()), folder)


@pytest.mark.parametrize(
    "name",
    ["gen_000/features/latent.npy", "gen_002/training.jsonl", "gen_001/images/00002.png"],
)
def test_what_an_unfinished_generation_needs_is_named(folder, name):
    """Files that are read are complete, or reported as damaged."""
    for later in ("gen_001", "gen_002"):
        (folder / later / "done.json").unlink()
        (folder / later / "metrics.json").unlink()
    (folder / name).write_bytes((folder / name).read_bytes()[:40])
    with pytest.raises(UserError, match=f"{name}' is damaged"):
        loop.run(tiny(), folder)


def test_damaged_accounts_are_named(folder):
    shutil.rmtree(folder / "gen_002")
    (folder / "provenance.json").write_text("{")
    with pytest.raises(UserError, match=r"provenance\.json' is damaged"):
        loop.run(tiny(), folder)


def test_a_damaged_checkpoint(folder, tiny_run):
    shutil.rmtree(folder / "gen_002")
    checkpoint = folder / "gen_002" / ".checkpoint.pt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"x")
    with pytest.raises(UserError, match="is damaged: delete it to train this generation"):
        loop.run(tiny(), folder)
    checkpoint.unlink()
    loop.run(tiny(), folder)
    assert contents(folder) == contents(tiny_run.folder)


@pytest.mark.parametrize("part", ["text_encoder", "classifier"])
def test_a_damaged_pipeline(part, tmp_path):
    shutil.copytree(model.EMBEDDED / "digits", tmp_path / "model")
    (weights,) = (tmp_path / "model" / part).glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:99])
    with pytest.raises(UserError, match=r"model"):
        loop.run(tiny(model={"name": str(tmp_path / "model")}), tmp_path / "run")
