"""Finetuning: the weights of an adapter, their dependences, and resuming."""

import numpy as np
import pandas as pd
import pytest
import torch
from diffusers import StableDiffusionPipeline

from empirical import processes
from empirical.data import real_images
from empirical.errors import UserError
from empirical.generator import finetuning, trainable, training_step
from empirical.generator.finetuning import _Visits, finetune
from empirical.pipeline import model
from empirical.pipeline.adapters import WEIGHTS
from empirical.recipe import DataTable, FinetuneTable
from tests.helpers import rounding

TABLE = FinetuneTable(rank=2, steps=4, batch_size=8)


@pytest.fixture(scope="module")
def population():
    return real_images.real(DataTable(size=20), 32, "L", 0)


@pytest.fixture
def base(digits):
    yield digits
    trainable.unload(digits)


def inputs(base):
    latents = torch.randn((2, *base.latent_shape), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        conditioning = base.embed(["a handwritten digit two"] * 2)
    return latents, torch.tensor(500), conditioning.hidden


def predict(unet, base):
    with torch.no_grad():
        return unet(*inputs(base)).sample


def test_every_visit_takes_each_image_once():
    visits = _Visits(10, seed=0, generation=1)
    pairs = [pair for step in range(5) for pair in visits.batch(step, 4)]
    assert sorted(pairs) == [(image, visit) for image in range(10) for visit in range(2)]
    wide = [pair for step in range(2) for pair in visits.batch(step, 10)]
    assert wide == pairs
    assert _Visits(10, 0, 2).batch(0, 10) != visits.batch(0, 10)


def test_plain_diffusers_reads_the_adapter(base, population, tmp_path):
    before = predict(base.pipeline.unet, base)
    finetune(base, population, TABLE, 0, 1, tmp_path)
    after = predict(base.pipeline.unet, base)
    assert (after - before).abs().max() > 1e-4
    plain = StableDiffusionPipeline.from_pretrained(
        str(model.EMBEDDED / "digits"), safety_checker=None, requires_safety_checker=False
    ).to(dtype=torch.float32)
    plain.load_lora_weights(str(tmp_path / "lora"))
    apart = rounding.of_network(plain.unet, *inputs(base), output=lambda result: result.sample)
    torch.testing.assert_close(predict(plain.unet, base), after, atol=apart, rtol=0)
    config = plain.unet.peft_config["default_0"]
    assert (config.r, config.lora_alpha) == (2, 2)


def test_detaching_brings_the_base_back_bit_for_bit(base, population, tmp_path):
    before = predict(base.pipeline.unet, base)
    finetune(base, population, TABLE, 0, 1, tmp_path)
    trainable.unload(base)
    assert torch.equal(predict(base.pipeline.unet, base), before)


def test_the_same_seed_gives_the_same_adapter_and_another_another(base, population, tmp_path):
    for name, seed, generation in (("a", 0, 1), ("b", 0, 1), ("c", 1, 1), ("d", 0, 2)):
        finetune(base, population, TABLE, seed, generation, tmp_path / name)
    files = {n: (tmp_path / n / "lora" / WEIGHTS).read_bytes() for n in "abcd"}
    assert files["a"] == files["b"]
    assert len(set(files.values())) == 3


def test_an_interrupted_training_ends_with_the_same_adapter(
    base, population, tmp_path, monkeypatch
):
    finetune(base, population, TABLE, 0, 1, tmp_path / "whole")
    monkeypatch.setattr(finetuning, "_CHECKPOINT_SECONDS", 0.0)
    seen = []

    def interrupt(count):
        seen.append(count)
        if len(seen) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune(base, population, TABLE, 0, 1, tmp_path / "cut", progress=interrupt)
    assert not (tmp_path / "cut" / "lora" / WEIGHTS).exists()
    counts = []
    finetune(base, population, TABLE, 0, 1, tmp_path / "cut", progress=counts.append)
    assert counts[0] == 3 * 2 * TABLE.batch_size
    assert sum(counts) == 3 * TABLE.steps * TABLE.batch_size
    for name in ("loss.csv", f"lora/{WEIGHTS}"):
        uninterrupted, cut = (tmp_path / run / name for run in ("whole", "cut"))
        assert uninterrupted.read_bytes() == cut.read_bytes()
    assert [p.name for p in (tmp_path / "cut" / "lora").iterdir()] == [WEIGHTS]


@pytest.mark.slow
def test_learning_lowers_the_loss(base, population, tmp_path):
    """Visits are keyed, so that two trainings meet the same noise and compare pair by pair."""
    losses = []
    for rate in (1e-9, 2e-3):
        table = FinetuneTable(rank=8, steps=50, batch_size=20, learning_rate=rate)
        finetune(base, population, table, 0, 1, tmp_path / str(rate))
        losses.append(
            np.loadtxt(tmp_path / str(rate) / "loss.csv", delimiter=",", skiprows=1)[:, 1]
        )
    gain = (losses[0] - losses[1])[-20:]
    assert gain.mean() > 4 * gain.std(ddof=1) / np.sqrt(20)


def test_a_dropped_condition_is_never_seen(base, population, tmp_path):
    """With every condition dropped, the weights do not depend on the captions."""
    table = TABLE.model_copy(update={"condition_drop": 1.0})
    mixed = real_images.Population(population.images, population.captions[::-1])
    finetune(base, population, table, 0, 1, tmp_path / "a")
    finetune(base, mixed, table, 0, 1, tmp_path / "b")
    finetune(base, mixed, TABLE, 0, 1, tmp_path / "c")
    files = [(tmp_path / run / "lora" / WEIGHTS).read_bytes() for run in "abc"]
    assert files[0] == files[1]
    assert files[0] != files[2]


def test_a_loss_that_is_no_number_stops_with_advice(base, population, tmp_path, monkeypatch):
    real, calls = torch.nn.functional.mse_loss, []

    def spoilt(a, b):
        calls.append(a)
        return real(a, b) * float("nan" if len(calls) > good else 1.0)

    monkeypatch.setattr(training_step.functional, "mse_loss", spoilt)
    good = 1
    with pytest.raises(
        UserError, match=r"generation 3 became nan .* lower 'finetune.learning_rate'"
    ):
        finetune(base, population, TABLE, 0, 3, tmp_path)
    good = 0
    with pytest.raises(UserError, match="at its first step, before any weight changed: check"):
        finetune(base, population, TABLE, 0, 3, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert not (tmp_path / "loss.csv").exists()


def test_a_process_without_a_share_of_a_batch_adds_nothing(base, population, tmp_path, monkeypatch):
    """Where there are more processes than images in a batch."""
    monkeypatch.setattr(processes, "mine", lambda batch: [])
    finetune(base, population, FinetuneTable(steps=2), 0, 1, tmp_path)
    losses = pd.read_csv(tmp_path / "loss.csv")
    assert (losses[["loss", "gradient_norm"]] == 0).all(axis=None)
