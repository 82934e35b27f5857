"""The embedded model: it agrees with its card, and its training resumes."""

import re

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from empirical.digits import classifier, dataset
from empirical.generator.sampling import sample
from empirical.guidance import Constant
from empirical.measuring import metrics
from empirical.pipeline import model
from empirical.pretraining import card, training
from empirical.pretraining.architecture import tokenizer

FOLDER = model.EMBEDDED / "digits"
CARD = (FOLDER / "README.md").read_text()


def test_it_fits_into_a_repository():
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file())
    assert size <= 16e6
    for part, count in card.parameters(FOLDER).items():
        assert f"| {part} | {count:,} |" in CARD
    assert 2.5e6 < sum(card.parameters(FOLDER).values()) < 3.5e6


def test_it_is_a_plain_pipeline_in_half_precision():
    pipeline = StableDiffusionPipeline.from_pretrained(
        str(FOLDER), safety_checker=None, requires_safety_checker=False, torch_dtype=torch.float16
    )
    assert {p.dtype for p in pipeline.unet.parameters()} == {torch.float16}
    assert pipeline.safety_checker is None


def test_every_word_of_a_caption_is_one_token():
    words = tokenizer()
    for caption in dataset.CAPTIONS:
        assert len(words(caption).input_ids) == 2 + len(caption.split())
    assert words.decode(words("Été 7").input_ids, skip_special_tokens=True).strip() == "été 7"


@pytest.mark.slow
def test_the_card_states_what_the_classifier_measures(digits):
    """The classifier's accuracy and the floor exactly; 200 samples at the best scale."""
    network = classifier.load(FOLDER / "classifier")
    parts = [dataset.load("real"), dataset.load("reference")]
    features, classes = zip(
        *(classifier.predict(network, p.images / 255) for p in parts), strict=True
    )
    accuracy = np.mean(np.concatenate(classes) == np.concatenate([p.labels for p in parts]))
    assert f"recognises {100 * accuracy:.1f} % of the 1,000" in CARD
    assert accuracy > 0.98
    assert f"are at {metrics.frechet(*features):.2f}, the floor" in CARD

    match = re.search(
        r"distance: ([\d.]+), where ([\d.]+) % are\s+recognised at ([\d.]+) times", CARD
    )
    assert match is not None
    scale, recognised, times = map(float, match.groups())
    assert recognised >= 95
    assert times <= 3
    rule = Constant(rule="constant", scale=scale)
    drawn = sample(digits, parts[1].captions[:200], range(200), rule, "ddim", 20)
    _, classes = classifier.predict(network, drawn[..., 0] / 255)
    assert np.mean(classes == parts[1].labels[:200]) >= 0.95


@pytest.fixture
def quick(monkeypatch):
    """A training of seconds: 128 images, a few steps."""
    full = dataset.load("train")
    few = dataset.Digits(full.images[:128], full.labels[:128])
    monkeypatch.setattr(dataset, "load", lambda part: few)
    for name, value in (("VAE_STEPS", 3), ("UNET_STEPS", 4), ("EPOCHS", 1), ("BATCH", 8)):
        monkeypatch.setattr(training, name, value)
    monkeypatch.setattr(training, "_CHECKPOINT_SECONDS", 0.0)


def weights(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.safetensors")}


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_weights(quick, tmp_path):
    counts = []
    training.pretrain(tmp_path / "whole", tmp_path / "a", 0, counts.append)
    assert sum(counts) == training.work()
    for stop in (1, 3, 6):
        calls = []

        def interrupt(count, calls=calls, stop=stop):
            calls.append(count)
            if len(calls) == stop + 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            training.pretrain(tmp_path / "cut", tmp_path / "b", 0, interrupt)
    training.pretrain(tmp_path / "cut", tmp_path / "b", 0, counts.append)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    training.pretrain(tmp_path / "other", tmp_path / "c", 1, counts.append)
    assert weights(tmp_path / "other") != weights(tmp_path / "whole")
    loaded = model.load(str(tmp_path / "cut"))
    drawn = sample(
        loaded, dataset.CAPTIONS[:2], [0, 1], Constant(rule="constant", scale=2.0), "ddim", 2
    )
    assert drawn.shape == (2, 32, 32, 1)
