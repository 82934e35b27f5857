"""Images that are drawn only to be measured: what they are, and that they change nothing else."""

import numpy as np
import pytest

from empirical import recipe
from empirical.chain import completion, extra_draws, folder, loop
from empirical.errors import UserError
from empirical.generator.diffusion import DiffusionGenerator
from empirical.generator.sampling import sample
from empirical.guidance import Constant
from empirical.recipe import MeasureTable
from empirical.runs.record import Run
from empirical.seeds import seed_of
from tests.helpers.tiny_chain import contents, tiny

BOTH = {"unguided": True, "replicates": 2, "unguided_images": True}


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    return loop.run(tiny(measure=BOTH), tmp_path_factory.mktemp("draws") / "both")


def test_every_generation_has_its_draws(tiny_run, both):
    for generation in tiny_run.generations():
        assert generation.draws() == ["unguided"]
        # Only traits are kept unless the recipe asks for the images.
        assert not (generation.draw("unguided").folder / "images").exists()
    for generation in both.generations():
        base = ["unguided", "unguided_replicate"]
        names = base if generation.number == 0 else ["unguided", "replicate", "unguided_replicate"]
        assert generation.draws() == names
        for name in names:
            draw = generation.draw(name)
            copies = 1 if name == "unguided" else 2
            assert draw.captions == generation.captions * copies
            assert draw.traits() == generation.traits()
            assert len(draw.trait("latent")) == 20 * copies
            assert len(list((draw.folder / "images").glob("*.png"))) == 20 * copies
    first = both.generation(1)
    assert first.draw("unguided").seeds == [row["seed"] for row in first.metadata()]
    assert first.draw("replicate").seeds == first.draw("unguided_replicate").seeds
    assert not set(first.draw("replicate").seeds) & set(first.draw("unguided").seeds)


def test_they_change_nothing_that_a_chain_learns(both, tmp_path):
    off = tiny(measure={"unguided": False, "replicates": 0})
    plain = contents(loop.run(off, tmp_path / "off").folder)
    with_draws = contents(both.folder)
    differing = {name for name in plain if with_draws[name] != plain[name]}
    assert differing == {"recipe.toml", *(f"gen_{i:03d}/done.json" for i in range(3))}
    assert {name.split("/")[1] for name in set(with_draws) - set(plain)} == {"draws"}


def test_unguided_images_are_those_of_scale_one_from_the_same_noise(both, digits):
    """And generation 0's come from the base model."""
    generation = both.generation(0)
    seeds = [seed_of("image", 0, 0, i) for i in range(8)]
    rule = Constant(rule="constant", scale=1.0)
    images = sample(digits, generation.captions[:8], seeds, rule, "ddim", 2)
    latents = DiffusionGenerator(digits, both.recipe.settings).encode(images)
    stored = generation.draw("unguided").trait("latent")[:8]
    # Batches of another size round differently; an image has 256 levels.
    assert np.abs(latents - stored).max() < 0.05 * stored.std()
    guided = both.generation(1)
    assert not np.allclose(guided.trait("latent"), guided.draw("unguided").trait("latent"))


def test_at_scale_one_a_generation_is_its_own_unguided_draw(tmp_path):
    rule = {"guidance": {"rule": "constant", "scale": 1.0}, "steps": 2, "batch_size": 8}
    chain = tiny(generations=1, generate=rule, measure={"replicates": 1})
    done = []
    run = loop.run(chain, tmp_path / "one", done.append)
    assert sum(done) == loop.work(chain, run.folder)
    first = run.generation(1)
    for name, own in (("unguided", first), ("unguided_replicate", first.draw("replicate"))):
        np.testing.assert_array_equal(first.draw(name).trait("latent"), own.trait("latent"))


def test_auto_is_one_replicate_where_captions_are_mostly_distinct():
    table = MeasureTable()
    assert table.resolved(["a", "b", "c", "c"]).replicates == 0
    assert table.resolved(["a", "b", "c", "d", "d"]).replicates == 1
    assert table.resolved(["a"] * 20).replicates == 0
    assert MeasureTable(replicates=3).resolved(["a", "b"]).replicates == 3


def test_freshly_drawn_real_images_are_measured(tmp_path):
    run = loop.run(tiny(finetune={"training_set": "real"}), tmp_path / "real")
    for generation in run.generations()[1:]:
        fresh = generation.draw("fresh")
        assert fresh.captions == [row["text"] for row in generation.pedigree()]
        assert len(fresh.trait("pixel_mean")) == 20


def test_an_interrupted_draw_is_resumed(both, tmp_path, monkeypatch):
    """Wherever it stops, the files are those of a chain that was not interrupted."""
    calls, drawn = [], DiffusionGenerator.sample_unguided

    def stop_at(number):
        def draw(self, captions, seeds, progress):
            calls.append(len(captions))
            if len(calls) == number:
                raise KeyboardInterrupt
            return drawn(self, captions, seeds, progress)

        return draw

    out = tmp_path / "run"
    for number in (2, 5, 9):
        calls.clear()
        monkeypatch.setattr(DiffusionGenerator, "sample_unguided", stop_at(number))
        with pytest.raises(KeyboardInterrupt):
            loop.run(tiny(measure=BOTH), out)
    monkeypatch.setattr(DiffusionGenerator, "sample_unguided", drawn)
    assert contents(loop.run(tiny(measure=BOTH), out).folder) == contents(both.folder)


def test_what_is_measured_is_no_other_experiment(tiny_run, tmp_path):
    """A run keeps measuring what it measured when it began; before there was a table, nothing."""
    chain = tiny(measure={"unguided": False, "replicates": 1})
    assert recipe.differences(tiny(), chain) == []
    folder.require_unclaimed(tiny_run.folder, chain)
    assert loop.resolved(chain, tiny_run.folder).measure == tiny_run.recipe.measure
    out = tmp_path / "run"
    run = loop.run(tiny(generations=1, measure={"unguided": False}), out)
    text = (out / "recipe.toml").read_text()
    (out / "recipe.toml").write_text(text[: text.index("\n[measure]")])
    assert Run(out).recipe.measure == MeasureTable.off()
    # The digest of the recipe leaves the table out.
    longer = loop.run(tiny(), out)
    assert [generation.draws() for generation in longer.generations()] == [[], [], []]
    assert run.generations()[1].traits()


def test_a_draw_that_is_damaged_is_named(both, tmp_path):
    import shutil

    shutil.copytree(both.folder, tmp_path / "run")
    broken = tmp_path / "run" / "gen_001" / "draws" / "replicate" / "features" / "latent.npy"
    broken.unlink()
    with pytest.raises(UserError, match=r"draws/replicate/features/latent\.npy' is missing"):
        loop.run(tiny(measure=BOTH), tmp_path / "run")


def test_counts_are_those_of_what_is_planned(both):
    for generation in both.generations():
        plans = list(extra_draws.planned(generation, both.recipe.settings))
        guided, unguided = extra_draws.counts(both.recipe.settings, generation.number)
        names = {plan.name: len(plan.captions) for plan in plans}
        assert names.pop("replicate", 0) == guided
        assert sum(names.values()) == unguided


def test_unknown_numbers_of_replicates_are_refused():
    with pytest.raises(UserError, match=r"'measure\.replicates"):
        tiny(measure={"replicates": -1})
    with pytest.raises(UserError, match=r"unknown key 'measure\.unguidd'"):
        tiny(measure={"unguidd": True})


def test_progress_counts_every_draw(tmp_path, digits):
    done: list[int] = []
    chain = tiny(generations=1, measure=BOTH)
    loop.run(chain, tmp_path / "run", done.append, base=digits)
    assert sum(done) == loop.work(chain, tmp_path / "run")
    again: list[int] = []
    loop.run(chain, tmp_path / "run", again.append)
    assert sum(again) == sum(done)


def test_a_finished_run_is_completed(both, tmp_path):
    """From its weights, with the files of a run that drew everything from the start."""
    run = loop.run(tiny(measure={"unguided": False}), tmp_path / "run")
    kept = {"unguided": True, "replicates": 1}
    done: list[int] = []
    total = completion.work(run, **kept)
    completion.complete(run, **kept, progress=done.append)
    assert sum(done) == total
    assert run.recipe.measure == MeasureTable(**kept)
    direct = loop.run(tiny(measure=kept), tmp_path / "direct")
    assert contents(run.folder) == contents(direct.folder)
    folder.verify(run)
    with pytest.raises(UserError, match="has 1 replicates of each prompt: their number"):
        completion.complete(run, replicates=2)


def test_without_weights_a_run_cannot_be_completed(tmp_path):
    run = loop.run(tiny(generations=1, measure={"unguided": False}), tmp_path / "run")
    (weights,) = (run.folder / "gen_001").glob("lora/*")
    weights.unlink()
    with pytest.raises(UserError, match=r"lora.*' is missing since generation 1 was finished"):
        completion.complete(run, unguided=True)
    assert run.recipe.measure.unguided is False
