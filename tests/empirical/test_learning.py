"""Ways to learn: all weights, the text encoder too, on top of earlier generations, in pieces."""

import numpy as np
import pytest
import safetensors.torch
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel

from empirical.data import real_images
from empirical.generator import trainable
from empirical.generator.finetuning import finetune
from empirical.pipeline import model
from empirical.pipeline.adapters import WEIGHTS
from empirical.recipe import DataTable, FinetuneTable
from tests.helpers import rounding

QUICK = {"rank": 2, "steps": 3, "batch_size": 8}


@pytest.fixture(scope="module")
def population():
    return real_images.real(DataTable(size=20), 32, "L", 0)


@pytest.fixture
def base(digits):
    yield digits
    trainable.unload(digits)


def predict(base, unet=None, conditioning=None):
    latents = torch.randn((2, *base.latent_shape), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        conditioning = (
            base.embed(["a handwritten digit two"] * 2).hidden
            if conditioning is None
            else conditioning
        )
        return (unet or base.unet)(latents, torch.tensor(500), conditioning).sample


def agree(actual, expected, base, unet):
    """Predictions are equal but for rounding: an adapter is added to weights, or to outputs."""
    with torch.no_grad():
        conditioning = base.embed(["a handwritten digit two"] * 2).hidden
    latents = torch.randn((2, *base.latent_shape), generator=torch.Generator().manual_seed(0))
    apart = rounding.of_network(
        unet, latents, torch.tensor(500), conditioning, output=lambda result: result.sample
    )
    torch.testing.assert_close(actual, expected, atol=apart, rtol=0)


def plain():
    return StableDiffusionPipeline.from_pretrained(
        str(model.EMBEDDED / "digits"), safety_checker=None, requires_safety_checker=False
    ).to(dtype=torch.float32)


def test_full_finetuning_writes_a_denoiser_that_diffusers_loads(base, population, tmp_path):
    before = predict(base)
    table = FinetuneTable(method="full", **QUICK)
    finetune(base, population, table, 0, 1, tmp_path / "gen_001")
    after = predict(base)
    assert (after - before).abs().max() > 1e-4
    loaded = UNet2DConditionModel.from_pretrained(str(tmp_path / "gen_001" / "unet"))
    agree(predict(base, loaded), after, base, loaded)
    trainable.unload(base)
    assert torch.equal(predict(base), before)
    finetune(base, population, table, 0, 1, tmp_path / "gen_001")
    assert torch.equal(predict(base), after)


def test_the_text_encoder_learns_where_it_is_asked_to(base, population, tmp_path):
    captions = ["a handwritten digit two"]
    before = base.embed(captions).hidden
    table = FinetuneTable(text_encoder=True, **QUICK)
    finetune(base, population, table, 0, 1, tmp_path)
    with torch.no_grad():
        after = base.embed(captions).hidden
    assert (after - before).abs().max() > 1e-5
    theirs = plain()
    theirs.load_lora_weights(str(tmp_path / "lora"))
    ids = theirs.tokenizer(captions, padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        conditioning = theirs.text_encoder(ids)[0]
    apart = rounding.of_network(theirs.text_encoder, ids, output=lambda result: result[0])
    torch.testing.assert_close(conditioning, after, atol=apart, rtol=0)
    expected = predict(base)
    got = predict(base, theirs.unet, conditioning.expand(2, -1, -1))
    agree(got, expected, base, theirs.unet)
    trainable.unload(base)
    assert torch.equal(base.embed(captions).hidden, before)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_from_the_previous_generation(base, population, tmp_path, method):
    """Each adapter holds the weights that its generation added; diffusers loads them together."""
    table = FinetuneTable(method=method, start_from="previous", **QUICK)
    folders = [tmp_path / f"gen_{n:03d}" for n in (1, 2)]
    finetune(base, population, table, 0, 1, folders[0])
    first = predict(base)
    finetune(base, population, table, 0, 2, folders[1], [folders[0]])
    both = predict(base)
    assert (both - first).abs().max() > 1e-5
    trainable.load(base, table, folders)
    assert torch.equal(predict(base), both)
    if method == "full":
        loaded = UNet2DConditionModel.from_pretrained(str(folders[1] / "unet"))
        agree(predict(base, loaded), both, base, loaded)
        return
    theirs = plain()
    for n, folder in enumerate(folders):
        theirs.load_lora_weights(str(folder / "lora"), adapter_name=f"g{n}")
    theirs.set_adapters(["g0", "g1"])
    agree(predict(base, theirs.unet), both, base, theirs.unet)


def weights_of(base, population, folder, **changes):
    table = FinetuneTable(**{**QUICK, "learning_rate": 1e-3, **changes})
    finetune(base, population, table, 0, 1, folder)
    return safetensors.torch.load_file(folder / "lora" / WEIGHTS)


@pytest.mark.parametrize("changes", [{"micro_batches": 3}, {"gradient_checkpointing": True}])
def test_saving_memory_changes_nothing_but_rounding(base, population, tmp_path, changes):
    plain = weights_of(base, population, tmp_path / "whole")
    saved = weights_of(base, population, tmp_path / "saved", **changes)
    steps = QUICK["steps"] * 1e-3
    assert plain.keys() == saved.keys()
    differing = np.array([(plain[n] - saved[n]).abs().max() for n in plain])
    # Adam turns the smallest gradient's sign into a whole step, so compare with the way gone.
    assert np.median(differing) < 0.02 * steps
    moved = np.array([saved[n].abs().max() for n in saved if n.endswith("lora_B.weight")])
    assert moved.min() > 0.3 * steps


def test_other_layers_learn_where_they_are_named(base, population, tmp_path):
    weights = weights_of(base, population, tmp_path, targets=["conv_in", "to_q"])
    layers = {name.split(".lora_")[0].split(".")[-1] for name in weights}
    assert layers == {"conv_in", "to_q"}


def test_what_it_takes_on_disk_is_known_before(base, population, tmp_path):
    for method in ("lora", "full"):
        table = FinetuneTable(method=method, **QUICK)
        finetune(base, population, table, 0, 1, tmp_path / method)
        taken = sum(p.stat().st_size for p in trainable.paths(base, table, tmp_path / method))
        trainable.unload(base)
        assert trainable.size(base, table) == pytest.approx(taken, rel=0.15)
