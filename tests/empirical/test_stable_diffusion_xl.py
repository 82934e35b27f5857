"""Stable Diffusion XL takes the same path: a tiny one with random weights runs a chain."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline

from empirical import files
from empirical.chain import loop
from empirical.generator import trainable
from empirical.generator.sampling import sample
from empirical.guidance import Constant
from empirical.pipeline import model
from empirical.recipe import FinetuneTable
from tests.helpers.random_pipelines import tiny_xl
from tests.helpers.tiny_chain import tiny

CAPTIONS = ["a handwritten digit two", "a handwritten digit six"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_xl(tmp_path_factory.mktemp("xl"))


@pytest.fixture(scope="module")
def xl(folder):
    return model.load(str(folder))


def test_a_scale_gives_the_stock_images(xl):
    """Null embeddings are zeros here, in both encoders and in the pooled text."""
    null = xl.embed([""])
    assert null.hidden.abs().max() == 0
    assert null.pooled.abs().max() == 0
    seeds = [3, 4]
    noise = [
        torch.randn(xl.latent_shape, generator=torch.Generator().manual_seed(seed))
        for seed in seeds
    ]
    xl.pipeline.set_progress_bar_config(disable=True)
    with torch.no_grad():
        stock = xl.pipeline(
            CAPTIONS,
            latents=torch.stack(noise),
            num_inference_steps=4,
            guidance_scale=3.0,
            output_type="np",
        ).images
    ours = sample(xl, CAPTIONS, seeds, Constant(rule="constant", scale=3.0), "ddim", 4)
    assert np.abs(ours - np.round(stock * 255)).max() <= 1


def test_a_chain_runs_and_plain_diffusers_reads_it(folder, xl, tmp_path):
    for i in range(8):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        files.write_image(tmp_path / "data" / f"{i}.png", pixels)
        files.write_text(tmp_path / "data" / f"{i}.txt", CAPTIONS[i % 2])
    recipe = tiny(
        model={"name": str(folder)},
        data={"name": str(tmp_path / "data"), "size": 8},
        finetune={"text_encoder": True, "steps": 2, "condition_drop": 0.5},
    )
    run = loop.run(recipe, tmp_path / "run")
    assert run.generation(2).images().shape == (8, 16, 16, 3)
    table = FinetuneTable(**recipe.finetune.model_dump())
    trainable.load(xl, table, [run.generation(1).folder])
    theirs = StableDiffusionXLPipeline.from_pretrained(str(folder), add_watermarker=False)
    theirs.load_lora_weights(str(run.generation(1).folder / "lora"))
    theirs.set_progress_bar_config(disable=True)
    noise = torch.randn(xl.latent_shape, generator=torch.Generator().manual_seed(5))[None]
    with torch.no_grad():
        stock = theirs(
            CAPTIONS[:1], latents=noise, num_inference_steps=3, guidance_scale=2.0, output_type="np"
        ).images
    ours = sample(xl, CAPTIONS[:1], [5], Constant(rule="constant", scale=2.0), "ddim", 3)
    trainable.unload(xl)
    assert np.abs(ours - np.round(stock * 255)).max() <= 1
