"""Embedded models: each agrees with its card, and training by a plan resumes."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from empirical import embedded
from empirical.classifier import config, network
from empirical.classifier.config import Config
from empirical.embedded import Captioned, digits
from empirical.errors import UserError
from empirical.generator.sampling import sample
from empirical.guidance import Constant
from empirical.measuring import extractors, metrics
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
    for caption in {*real.captions, *real.categories}:
        assert len(words(caption).input_ids) == 2 + len(caption.split())


@pytest.mark.parametrize(
    ("captions", "counts"),
    [
        (["a bat at the cat", "ate that", "the a"], [5, 2, 2]),
        (["T-shirt/top", "Ankle boot", "Éclair, dogs's 12"], [5, 2, 6]),
    ],
)
def test_each_word_is_one_token_whatever_letters_it_shares(captions, counts):
    """Words as every CLIP tokenizer splits them: marks apart, numerals one by one."""
    words = architecture.tokenizer(captions)
    assert [len(words(caption).input_ids) - 2 for caption in captions] == counts
    assert words.decode(words("Été 7").input_ids, skip_special_tokens=True).strip() == "été 7"


def test_a_tokenizer_holds_its_longest_caption():
    assert architecture.tokenizer(["a", "b c"]).model_max_length == 12
    long = "a photo of a cat sitting on a red sofa in the living room"
    words = architecture.tokenizer(["a", long])
    assert words.model_max_length == 16
    tokens = architecture.encoded(words, ["a", long, f"{long} {long}"])
    assert tokens.input_ids.shape == (3, 16)
    assert tokens.attention_mask.sum(1).tolist() == [3, 16, 16]


@pytest.mark.slow
def test_the_card_states_what_the_classifier_measures(digits):
    """The classifier's accuracy and the floor exactly; 200 samples at the best scale."""
    text, plan = text_of("digits"), digits_plan.plan()
    networks = card.Networks(model.EMBEDDED / "digits")
    (real, of_real), (reference, of_reference) = (
        networks(each.images, each) for each in (plan.real, plan.reference)
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
    assert networks(drawn, few)[0].first >= 0.95


def test_a_category_counts_among_the_first_five():
    networks = card.Networks(model.EMBEDDED / "digits")
    real = embedded.load("digits", "real").take(range(50))
    known, features = networks(real.images, real)
    assert known.first <= known.five <= 1
    assert known.clip is None
    assert features.shape == (50, 64)
    wrong = Captioned(real.images, real.captions[1:] + real.captions[:1], real.categories[::-1])
    assert networks(real.images, wrong)[0].first < 0.5


@pytest.fixture
def quick(monkeypatch):
    """A training of seconds: 128 images in colour, a few steps, with all that a plan can ask."""
    plan = digits_plan.plan()
    few = plan.base.take(range(128))
    category = {text: "a low digit" if i < 5 else "a high digit"
                for i, text in enumerate(digits.CAPTIONS)}  # fmt: skip
    coloured = Captioned(
        few.images * np.array([1, 0, 1], np.uint8),
        few.captions,
        tuple(category[text] for text in few.captions),
    )
    monkeypatch.setattr(stage, "_CHECKPOINT_SECONDS", 0.0)
    lengths = replace(
        plan.lengths, vae_steps=3, denoiser_steps=4, classifier_epochs=30, clip_steps=2, batch=8
    )
    return replace(
        plan,
        base=coloured,
        classified=coloured,
        real=coloured,
        reference=coloured,
        prompted=coloured.take(range(8)),
        categories=category,
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


def test_checkpoints_of_another_training_are_refused(quick, tmp_path):
    training._claim(quick, tmp_path, 0)
    training._claim(quick, tmp_path, 0)
    others = [
        (quick, 1),
        (replace(quick, shortened=0.4), 0),
        (replace(quick, base=quick.base.take(range(127))), 0),
        (replace(quick, lengths=replace(quick.lengths, vae_steps=4)), 0),
    ]
    for plan, seed in others:
        with pytest.raises(UserError, match="holds the checkpoints of a training with other data"):
            training._claim(plan, tmp_path, seed)


@pytest.mark.slow
def test_a_card_is_written_from_a_plan(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(card, "SCALES", (1.0, 2.0))
    monkeypatch.setattr(card, "STEPS", 2)
    training.pretrain(quick, tmp_path / "model", tmp_path / "kept", 0, lambda count: None)
    evaluation = card.evaluate(quick, tmp_path / "model", 0)
    assert evaluation.floor == pytest.approx(0, abs=1e-3)
    assert [row.scale for row in evaluation.rows] == [1, 2]
    # The classifier has seen the real images 30 times; the model has learnt four steps.
    assert evaluation.real.first > 0.9
    assert all(row.recognised.five == 1 for row in evaluation.rows)
    assert 0 <= evaluation.real.clip <= 100
    card.write(quick, tmp_path / "model", replace(evaluation, floor=1.0), 0, "a processor")
    text = " ".join((tmp_path / "model" / "README.md").read_text().split())
    first = 100 * evaluation.rows[1].recognised.first
    assert f"| 2 | {first:.1f} % | 100.0 % |" in text
    assert f"recognises {100 * evaluation.real.first:.1f} % of 256 real" in text
    assert f"a CLIP score of {evaluation.real.clip:.1f}" in text
    assert "replaced by their category 50 % of the time" in text
    loaded = extractors.load("classifier:" + str(tmp_path / "model"))
    assert loaded.classifier.categories["a handwritten digit nine"] == "a high digit"
    assert loaded.predict(quick.base.images[:3])[1] == list(quick.base.categories[:3])


def test_a_plan_of_any_folder_holds_images_of_each_caption_out(tmp_path):
    folder = captioned_digits.folder_of(tmp_path / "digits", 400, distinct=0)
    plan = images_plan.plan(str(folder), colour=False)
    assert (len(plan.base), len(plan.real), len(plan.reference)) == (320, 40, 40)
    assert plan.card.command == f"pretrain images {folder} --grey"
    parts = [{p.tobytes() for p in each.images} for each in (plan.base, plan.real, plan.reference)]
    assert len(set().union(*parts)) == 400
    for part in (plan.base, plan.real, plan.reference):
        assert set(part.captions) == set(digits.CAPTIONS)
    assert images_plan.plan(str(folder)).base.images.shape == (320, 32, 32, 3)
    few = captioned_digits.folder_of(tmp_path / "few", 30)
    with pytest.raises(UserError, match=r"30 images with 30 captions, and 1 with 'a hand.* 10 or"):
        images_plan.plan(str(few))


def test_a_classifier_is_kept_with_its_settings(tmp_path):
    settings = Config(("a", "b"), 3, (4, 4, 4), {"c": "a"})
    network.save(network.Classifier(settings), tmp_path)
    again = network.load(tmp_path)
    assert again.config == settings
    assert settings.category_of == {"c": "a", "a": "a", "b": "b"}
    whole = '{"captions": ["a"], "channels": 1, "widths": [4]'
    for content in ("{}", "[]", whole + ', "categories": 3}'):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(UserError, match="holds no settings of a classifier: remove"):
            config.read(tmp_path)
    (tmp_path / "config.json").write_text(whole + "}")
    with pytest.raises(UserError, match="holds no classifier of images: remove it"):
        network.load(tmp_path)


def test_loading_a_model_prints_nothing():
    """What libraries say on import about packages that no chain needs is left out, in Python as in
    commands, which set how much they say."""
    code = "from empirical.pipeline.model import load; load('digits')"
    plain = {key: value for key, value in os.environ.items() if not key.endswith("_VERBOSITY")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=plain, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
