"""Embedded models: each agrees with its card, and training by a plan resumes."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from empirical import embedded
from empirical.embedded import Captioned, digits
from empirical.errors import UserError
from empirical.generator.sampling import sample
from empirical.guidance import Constant
from empirical.measuring import metrics
from empirical.measuring.extractors import _classifier_network as network
from empirical.pipeline import model
from empirical.pretraining import architecture, card, stage, training
from empirical.pretraining.plans import digits as digits_plan
from empirical.pretraining.plans import images as images_plan
from tests.helpers import captioned_digits

MODELS = model.embedded_names()


def text_of(name):
    return (model.EMBEDDED / name / "README.md").read_text()


@pytest.mark.parametrize("name", MODELS)
def test_it_fits_into_a_repository(name):
    folder = model.EMBEDDED / name
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size <= 16e6
    counts = card.parameters(folder)
    for part, count in counts.items():
        assert f"| {part} | {count:,} |" in text_of(name)
    assert sum(counts[part] for part in ("vae", "unet", "text_encoder")) <= 6e6


@pytest.mark.parametrize("name", MODELS)
def test_it_is_a_plain_pipeline_in_half_precision(name):
    pipeline = StableDiffusionPipeline.from_pretrained(
        str(model.EMBEDDED / name),
        safety_checker=None,
        requires_safety_checker=False,
        torch_dtype=torch.float16,
    )
    assert {p.dtype for p in pipeline.unet.parameters()} == {torch.float16}
    assert pipeline.safety_checker is None


@pytest.mark.parametrize(
    "data", [data for data in embedded.names() if data.split("-")[0] in MODELS]
)
def test_every_word_of_a_caption_is_one_token(data):
    real, words = embedded.load(data, "real"), model.load(data.split("-")[0]).pipeline.tokenizer
    for caption in {*real.captions, *real.families}:
        assert len(words(caption).input_ids) == 2 + len(caption.split())


def test_words_that_share_letters_are_one_token_each():
    captions = ["a bat at the cat", "ate that", "the a"]
    words = architecture.tokenizer(captions)
    for caption in captions:
        assert len(words(caption).input_ids) == 2 + len(caption.split())
    assert words.decode(words("Été 7").input_ids, skip_special_tokens=True).strip() == "été 7"


@pytest.mark.slow
def test_the_card_states_what_the_classifier_measures(digits):
    """The classifier's accuracy and the floor exactly; 200 samples at the best scale."""
    text, plan = text_of("digits"), digits_plan.plan()
    judges = card.Judges(model.EMBEDDED / "digits")
    (real, of_real), (reference, of_reference) = (
        judges(each.images, each) for each in (plan.real, plan.reference)
    )
    accuracy = (real.first + reference.first) / 2
    assert f"recognises {100 * accuracy:.1f} % of 1,000" in " ".join(text.split())
    assert accuracy > 0.98
    assert f"are at {metrics.frechet(of_real, of_reference):.2f}, the floor" in text

    match = re.search(
        r"distance: ([\d.]+), where ([\d.]+) % are\s+recognised at ([\d.]+) times", text
    )
    assert match is not None
    scale, recognised, times = map(float, match.groups())
    assert recognised >= 95
    assert times <= 3
    rule = Constant(rule="constant", scale=scale)
    few = plan.prompted.take(range(200))
    drawn = sample(digits, few.captions, range(200), rule, "ddim", 20)
    assert judges(drawn, few)[0].first >= 0.95


def test_a_judge_counts_a_family_among_its_first_five():
    judges = card.Judges(model.EMBEDDED / "digits")
    real = embedded.load("digits", "real").take(range(50))
    known, features = judges(real.images, real)
    assert known.first <= known.five <= 1
    assert known.clip is None
    assert features.shape == (50, 64)
    wrong = Captioned(real.images, real.captions[1:] + real.captions[:1], real.families[::-1])
    assert judges(real.images, wrong)[0].first < 0.5


@pytest.fixture
def quick(monkeypatch):
    """A training of seconds: 128 images in colour, a few steps, with all that a plan can ask."""
    plan = digits_plan.plan()
    few = plan.base.take(range(128))
    coloured = replace(few, images=np.repeat(few.images, 3, -1), families=("a digit",) * 128)
    monkeypatch.setattr(stage, "_CHECKPOINT_SECONDS", 0.0)
    lengths = replace(
        plan.lengths, vae_steps=3, denoiser_steps=4, judge_epochs=1, clip_steps=2, batch=8
    )
    return replace(
        plan,
        base=coloured,
        judge=coloured,
        families=dict.fromkeys(few.captions, "a digit"),
        sizes=replace(plan.sizes, channels=3),
        lengths=lengths,
        mirrored=True,
        shortened=0.5,
    )


def weights(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.safetensors")}


@pytest.mark.slow
def test_an_interrupted_training_ends_with_the_same_weights(quick, tmp_path):
    counts = []
    training.pretrain(quick, tmp_path / "whole", tmp_path / "a", 0, counts.append)
    assert sum(counts) == training.work(quick)
    for stop in (1, 2, 4, 6):
        calls = []

        def interrupt(count, calls=calls, stop=stop):
            calls.append(count)
            if len(calls) == stop + 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            training.pretrain(quick, tmp_path / "cut", tmp_path / "b", 0, interrupt)
    training.pretrain(quick, tmp_path / "cut", tmp_path / "b", 0, counts.append)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    training.pretrain(quick, tmp_path / "other", tmp_path / "c", 1, counts.append)
    assert weights(tmp_path / "other") != weights(tmp_path / "whole")
    loaded = model.load(str(tmp_path / "cut"))
    drawn = sample(
        loaded, digits.CAPTIONS[:2], [0, 1], Constant(rule="constant", scale=2.0), "ddim", 2
    )
    assert drawn.shape == (2, 32, 32, 3)
    judges = card.Judges(tmp_path / "cut")
    known, _ = judges(drawn, quick.base.take([0, 1]))
    assert known.first == 1
    assert 0 <= known.clip <= 100


@pytest.mark.slow
def test_a_card_is_written_from_a_plan(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(card, "SCALES", (1.0, 2.0))
    monkeypatch.setattr(card, "STEPS", 2)
    eight = quick.base.take(range(80))
    plan = replace(quick, real=eight, reference=eight, prompted=eight.take(range(8)))
    training.pretrain(plan, tmp_path / "model", tmp_path / "kept", 0, lambda count: None)
    evaluation = card.evaluate(plan, tmp_path / "model", 0)
    assert evaluation.floor == pytest.approx(0, abs=1e-3)
    assert [row.scale for row in evaluation.rows] == [1, 2]
    card.write(plan, tmp_path / "model", replace(evaluation, floor=1.0), 0, "a processor")
    text = (tmp_path / "model" / "README.md").read_text()
    assert "| 2 | 100.0 % | 100.0 % |" in text
    assert "CLIP score |" in text
    assert "shortened to their family 50 % of the time" in " ".join(text.split())


def test_a_plan_of_any_folder_holds_images_of_each_caption_out(tmp_path):
    folder = captioned_digits.folder_of(tmp_path / "digits", 400, distinct=0)
    plan = images_plan.plan(str(folder), colour=False)
    assert (len(plan.base), len(plan.real), len(plan.reference)) == (320, 40, 40)
    assert set(plan.classes) == set(digits.CAPTIONS)
    seen = {pixels.tobytes() for pixels in plan.base.images}
    assert not seen & {pixels.tobytes() for pixels in plan.reference.images}
    assert images_plan.plan(str(folder)).base.images.shape == (320, 32, 32, 3)

    few = captioned_digits.folder_of(tmp_path / "few", 30)
    with pytest.raises(UserError, match="30 images with 30 captions"):
        images_plan.plan(str(few))


def test_a_folder_without_a_whole_classifier_is_named(tmp_path):

    place = Path(tmp_path)
    network.save(network.Classifier(("a", "b"), 3, (4, 4, 4), {"c": "a"}), place)
    again = network.load(place)
    assert again.families == {"c": "a", "a": "a", "b": "b"}
    (place / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds no classifier"):
        network.load(place)
