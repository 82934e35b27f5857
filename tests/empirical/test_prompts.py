"""Moments of prompts, from single images and from kept runs."""

import io

import numpy as np
import pytest

from empirical.errors import UserError
from empirical.runs import kept, prompts
from empirical.runs.draws import Draw
from empirical.runs.record import Run


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


def test_very_many_means_are_left_out_of_the_file(images, monkeypatch):
    monkeypatch.setattr(prompts, "_MOST", 30)
    packed = prompts.prompts_of(images, images.captions).packed()
    with np.load(io.BytesIO(packed)) as stored:
        assert "mean.pixel_mean" in stored.files
        assert "mean.latent" not in stored.files


def test_one_image_a_prompt_has_no_covariance(images):
    found = prompts.prompts_of(images, [f"caption {i}" for i in range(30)])
    assert found.factor is None
    with pytest.raises(UserError, match="has no covariance"):
        _ = found.covariance


def test_kept_runs_have_what_selection_needs(tiny_run, tmp_path):
    path = kept.keep(tiny_run, tmp_path)
    import tarfile

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
