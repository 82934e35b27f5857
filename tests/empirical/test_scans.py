"""Scans: one finetuned model, drawn at several scales as chains at these scales are."""

import json

import numpy as np
import pytest

from empirical.chain import folder, loop, scan
from empirical.errors import UserError
from empirical.runs.scans import Scan, open_scan
from tests.helpers.tiny_chain import contents, tiny

SCALES = (1.0, 2.0, 4.0)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    done: list[int] = []
    planned = scan.plan(tiny(), SCALES, tmp_path_factory.mktemp("scan") / "scan")
    result = scan.scan(planned, done.append)
    assert sum(done) == planned.work
    return result


def test_a_draw_is_what_a_chain_at_its_scale_has_there(scanned, tiny_run):
    """The tiny chain has scale 2; without guidance it is the unguided draw."""
    assert scanned.complete
    assert (scanned.scales, scanned.generations, scanned.replicates) == (SCALES, (1,), 0)
    first = tiny_run.generation(1)
    for scale, chain in ((2.0, first), (1.0, first.draw("unguided"))):
        draw = scanned.draw(1, scale)
        assert draw.captions == first.captions
        assert draw.seeds == [row["seed"] for row in first.metadata()]
        assert draw.traits() == first.traits()
        np.testing.assert_array_equal(draw.trait("latent"), chain.trait("latent"))
    assert scanned.quality(1, 2.0)["accuracy"] == first.metrics()["accuracy"]
    np.testing.assert_array_equal(
        scanned.training(1).trait("latent"), tiny_run.generation(0).trait("latent")
    )
    (base,) = scanned.base()
    np.testing.assert_array_equal(
        base.trait("latent"), tiny_run.generation(0).draw("unguided").trait("latent")
    )
    assert scanned.images(1, 4.0).shape == (20, 32, 32, 1)


def test_a_run_is_scanned_with_its_weights(tiny_run, scanned, tmp_path):
    planned = scan.plan(tiny_run, [2.0], tmp_path / "scan")
    done: list[int] = []
    result = scan.scan(planned, done.append)
    assert sum(done) == planned.work
    assert result.generations == (1, 2)
    for number in (1, 2):
        own = tiny_run.generation(number).trait("latent")
        np.testing.assert_array_equal(result.draw(number, 2.0).trait("latent"), own)
        parents = tiny_run.generation(number - 1).trait("latent")
        np.testing.assert_array_equal(result.training(number).trait("latent"), parents)
    only = scan.scan(scan.plan(tiny_run, [1.0], tmp_path / "one", [2]))
    assert only.generations == (2,)


def test_an_interrupted_scan_is_resumed_and_extended(scanned, tmp_path, monkeypatch):
    from empirical.generator.diffusion import DiffusionGenerator

    out, sample_by, calls = tmp_path / "scan", DiffusionGenerator.sample_by, []

    def stop(self, *words):
        calls.append(words)
        if len(calls) == 9:
            raise KeyboardInterrupt
        return sample_by(self, *words)

    monkeypatch.setattr(DiffusionGenerator, "sample_by", stop)
    with pytest.raises(KeyboardInterrupt):
        scan.scan(scan.plan(tiny(), SCALES[:2], out))
    with pytest.raises(UserError, match="is not complete: run its command again"):
        open_scan(out)
    # With a further scale, in any order.
    scan.scan(scan.plan(tiny(), [4.0, 2.0], out))
    assert open_scan(out).scales == SCALES
    assert contents(out) == contents(scanned.folder)


def test_replicates_are_drawn_where_captions_are_distinct(tmp_path):
    chain = tiny(measure={"replicates": 1})
    result = scan.scan(scan.plan(chain, [2.0], tmp_path / "scan"))
    assert result.replicates == 1
    again = result.replicate(1, 2.0)
    assert again.captions == result.draw(1, 2.0).captions
    assert not set(again.seeds) & set(result.draw(1, 2.0).seeds)
    assert len(result.base()) == 2
    run = loop.run(tiny(generations=1, measure={"replicates": 1}), tmp_path / "run")
    chain_has = run.generation(1).draw("replicate").trait("latent")
    np.testing.assert_array_equal(again.trait("latent"), chain_has)


def test_a_scan_becomes_the_first_generation_of_a_chain(scanned, tiny_run, tmp_path):
    """Its folder is a run's, whose next step is to draw generation 1."""
    import shutil

    shutil.copytree(scanned.folder, tmp_path / "run")
    run = loop.run(tiny(), tmp_path / "run")
    folder.verify(run)
    np.testing.assert_array_equal(
        run.generation(2).trait("latent"), tiny_run.generation(2).trait("latent")
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (([], ()), r"the scales to scan are \[\], they must be finite"),
        (([1.0, float("nan")], ()), "they must be finite numbers"),
        (([1.0], (7,)), "has the generations 1 to 2, not 7"),
    ],
)
def test_what_cannot_be_scanned_is_said(tiny_run, tmp_path, words, sentence):
    scales, generations = words
    with pytest.raises(UserError, match=sentence):
        scan.plan(tiny_run, scales, tmp_path / "scan", generations)
    assert not (tmp_path / "scan").exists()


def test_other_folders_are_refused(scanned, tiny_run, tmp_path):
    with pytest.raises(UserError, match="holds a run of another recipe"):
        scan.plan(tiny(seed=3), SCALES, scanned.folder)
    with pytest.raises(UserError, match="holds another scan"):
        scan.plan(tiny_run, SCALES, scanned.folder, [2])
    with pytest.raises(UserError, match=r"is not the folder of a scan: it has no scan\.json"):
        open_scan(tiny_run.folder)
    with pytest.raises(UserError, match="generations are those of a run"):
        scan.plan(tiny(), SCALES, tmp_path / "scan", [1])


def test_fresh_real_images_are_the_training_set_where_they_are_learnt(tmp_path):
    chain = tiny(finetune={"training_set": "real"}, data={"size": 20})
    result = scan.scan(scan.plan(chain, [1.0], tmp_path / "scan"))
    rows = (tmp_path / "scan" / "gen_001" / "training.jsonl").read_text().splitlines()
    assert result.training(1).captions == [json.loads(row)["text"] for row in rows]
    assert isinstance(result, Scan)
