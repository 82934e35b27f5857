"""Moments of prompts, from single images and from kept runs."""

import io
import shutil
import tarfile

import numpy as np
import pytest

from empirical.errors import UserError
from empirical.runs import kept, prompts
from empirical.runs.draws import Draw
from empirical.runs.record import Run
from tests.helpers import selected_runs


@pytest.fixture
def images(tmp_path):
    """Thirty images of three prompts, with latents along few axes."""
    rng = np.random.default_rng(0)
    draw = Draw(tmp_path / "draw", "unguided")
    captions = ["a", "b", "b", "c", "c", "c"] * 5
    latent = rng.normal(size=(30, 5)) @ rng.normal(size=(5, 12)) + rng.normal(size=(30, 12)) / 10
    draw.write("latent", latent.astype(np.float32))
    draw.write("pixel_mean", rng.random((30, 1)))
    draw.finish(captions, [None] * 30)
    return draw


def test_they_are_means_and_covariance_of_prompts(images):
    found = prompts.prompts_of(images, images.captions, rank=4)
    labels = np.array(images.captions)
    latent = images.trait("latent").astype(float)
    assert found.captions == ("a", "b", "c")
    assert found.counts.tolist() == [5, 10, 15]
    for i, caption in enumerate("abc"):
        np.testing.assert_allclose(found.means["latent"][i], latent[labels == caption].mean(0))
    rest = np.concatenate([latent[labels == c] - latent[labels == c].mean(0) for c in "abc"])
    exact = rest.T @ rest / 27
    # Variances are exact; what the leading axes leave out of covariances is small.
    np.testing.assert_allclose(np.diag(found.covariance), np.diag(exact))
    left = np.linalg.eigvalsh(exact)[::-1][4]
    assert np.abs(found.covariance - exact).max() < 2 * left
    everything = prompts.prompts_of(images, images.captions, rank=12)
    np.testing.assert_allclose(everything.covariance, exact, atol=1e-12 * exact.max())


def test_they_are_read_again_from_a_file(images, tmp_path):
    found = prompts.prompts_of(images, images.captions)
    (images.folder / prompts.FILE).write_bytes(found.packed())
    again = prompts.prompts_of(images, ["another caption"])
    assert again.captions == found.captions
    for name in found.means:
        np.testing.assert_allclose(again.means[name], found.means[name], rtol=2**-10, atol=1e-4)
    np.testing.assert_allclose(again.covariance, found.covariance, rtol=0.01, atol=0.01)


def test_very_many_means_are_kept_along_leading_axes(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    captions = [f"caption {i}" for i in range(60)]
    few = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 50))
    latent = few + rng.normal(size=(60, 50)) / 20 + 1
    draw = Draw(tmp_path / "draw", "unguided")
    draw.write("latent", latent)
    draw.write("pixel_mean", rng.random((60, 1)))
    monkeypatch.setattr(prompts, "_MOST", 1000)
    found = prompts.prompts_of(draw, captions)
    packed = found.packed()
    with np.load(io.BytesIO(packed)) as stored:
        assert {"mean.pixel_mean", "scores.latent"} <= set(stored.files)
        assert "mean.latent" not in stored.files
    (draw.folder / prompts.FILE).write_bytes(packed)
    again = prompts.prompts_of(draw, captions)
    assert np.abs(again.means["latent"] - latent).std() < 0.05
    np.testing.assert_allclose(again.means["latent"].mean(axis=0), latent.mean(axis=0), atol=2e-3)
    # Variances are exact: what the axes leave out is kept.
    variance = latent.var(axis=0, ddof=1)
    parts = again.means["latent"].var(axis=0, ddof=1) + again.rests["latent"]
    np.testing.assert_allclose(parts, variance, rtol=0.005)
    np.testing.assert_allclose(again.between, variance, rtol=1e-6)
    with np.load(io.BytesIO(again.packed())) as stored:
        assert "rest.latent" in stored.files


def test_axes_are_kept_only_where_they_are_fewer_numbers(images, monkeypatch):
    monkeypatch.setattr(prompts, "_MOST", 30)
    packed = prompts.prompts_of(images, images.captions).packed()
    with np.load(io.BytesIO(packed)) as stored:
        assert "mean.latent" in stored.files


def test_one_image_a_prompt_has_no_covariance(images):
    found = prompts.prompts_of(images, [f"caption {i}" for i in range(30)])
    assert found.factor is None
    with pytest.raises(UserError, match="no covariance within prompts"):
        _ = found.covariance


@pytest.fixture
def distinct(tmp_path):
    """A run of two generations with a caption and a replicate for every image, four latents."""
    run = selected_runs.write(
        tmp_path / "run", [f"caption {i}" for i in range(40)], generations=1, replicates=1,
        components=4,
    )  # fmt: skip
    for generation in run.generations():
        draws = [generation.draw(name) for name in generation.draws()]
        for images in (generation, *draws):
            images.write("latent", images.trait("latent_pc"))
    return run


def test_an_image_and_its_replicate_give_a_covariance(distinct):
    generation = distinct.generation(1)
    for name, twin in ((None, "replicate"), ("unguided", "unguided_replicate")):
        found = prompts.prompts_of_draw(generation, name)
        first = (generation if name is None else generation.draw(name)).trait("latent")
        half = (first - generation.draw(twin).trait("latent")) / 2
        np.testing.assert_allclose(found.covariance, 2 * half.T @ half / 40)
        np.testing.assert_allclose(found.means["latent"], first)
        np.testing.assert_allclose(found.between, (first - half).var(axis=0, ddof=1))
        np.testing.assert_allclose(found.variances, 2 * np.square(half).mean(axis=1))
        assert found.freedom == 40
    # Real images have no second draw, and a replicate alone has no covariance.
    assert prompts.prompts_of_draw(distinct.generation(0)).factor is None
    alone = prompts.prompts_of_draw(generation, "replicate")
    assert alone.factor is None
    np.testing.assert_allclose(alone.means["latent"], generation.draw("replicate").trait("latent"))


def test_unguided_images_carry_what_compares_them_with_guided_ones(distinct):
    generation = distinct.generation(1)
    trait = lambda name: generation.draw(name).trait("latent")
    first = generation.trait("latent") - trait("unguided")
    second = trait("replicate") - trait("unguided_replicate")
    found = prompts.prompts_of_draw(generation, "unguided")
    np.testing.assert_allclose(found.squares, np.square((first + second) / 2).mean(axis=1))
    np.testing.assert_allclose(found.paired, np.square(first - second).mean(axis=1) / 2)


def test_runs_without_draws_keep_the_moments_of_prompts(tiny_run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_run.folder, copy)
    for generation in Run(copy).generations():
        shutil.rmtree(generation.folder / "draws", ignore_errors=True)
    path = kept.keep(Run(copy), tmp_path)
    with tarfile.open(path) as content:
        content.extractall(tmp_path / "kept", filter="data")
    for ours, theirs in zip(
        Run(tmp_path / "kept").generations(), Run(copy).generations(), strict=True
    ):
        assert not theirs.draws()
        exact = prompts.prompts_of(theirs, theirs.captions)
        found = prompts.prompts_of(ours, [])
        assert found.counts.tolist() == exact.counts.tolist()
        np.testing.assert_allclose(found.covariance, exact.covariance, rtol=0.01, atol=0.01)


def test_files_of_earlier_versions_are_read():
    """The kept chains of heritability have neither degrees of freedom nor paired variances."""
    run = next(run for run in kept.runs("heritability") if run.name.startswith("control"))
    found = prompts.prompts_of_draw(run.generation(1), "unguided")
    assert found.paired is None
    assert found.freedom == found.counts.sum() - len(found.counts)
    np.testing.assert_allclose(found.between, found.means["latent"].var(axis=0, ddof=1))


def test_kept_runs_have_what_selection_needs(tiny_run, tmp_path):
    path = kept.keep(tiny_run, tmp_path)
    with tarfile.open(path) as content:
        content.extractall(tmp_path / "run", filter="data")
    run = Run(tmp_path / "run")
    for ours, theirs in zip(run.generations(), tiny_run.generations(), strict=True):
        assert ours.draws() == theirs.draws() == ["unguided"]
        for mine, full in ((ours, theirs), (ours.draw("unguided"), theirs.draw("unguided"))):
            assert {"latent_pc", "pixel_mean", "sharpness"} <= set(mine.traits())
            assert not {"latent", "classifier"} & set(mine.traits())
            values = full.trait("sharpness")
            np.testing.assert_allclose(mine.trait("sharpness"), values, rtol=2**-10)
            means = prompts.prompts_of(mine, ours.captions).means["latent"]
            exact = prompts.prompts_of(full, theirs.captions).means["latent"]
            np.testing.assert_allclose(means, exact, rtol=2**-10, atol=1e-3)
        assert ours.draw("unguided").seeds == theirs.draw("unguided").seeds
        if ours.number:
            assert ours.pedigree() == theirs.pedigree()
