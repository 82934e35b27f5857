"""A generation beside the same work as the stock example of text-to-image LoRA does it.

The stock way is `stock`. Same sizes, same batches, same model, one after the other in one run.

The floor: a step of 64 images is one forward and one backward pass of the denoiser, three passes
in all if weights had to be learnt in full, and 20 steps of guidance for 500 images are 20,000
image passes forward. Everything else (encoding, adapters, noise, the optimiser) is overhead.
"""

import numpy as np
import pytest
import torch
from PIL import Image

from empirical.data import real_images
from empirical.generator import trainable
from empirical.generator.diffusion import DiffusionGenerator
from empirical.generator.finetuning import finetune
from empirical.pipeline import model
from empirical.recipe import TARGETS, DataTable, FinetuneTable, parse
from empirical.seeds import seed_of
from tests.benchmarks.stock import load, train, unload
from tests.benchmarks.stock import sample as draw_stock

FOLDER = model.EMBEDDED / "digits"
IMAGES, STEPS, BATCH, SAMPLED, DDIM, SCALE = 500, 200, 64, 250, 20, 3.0


@pytest.fixture
def base():
    return model.load("digits")


@pytest.fixture
def stock():
    """The same pipeline, as diffusers loads it."""
    return load(FOLDER)


@pytest.fixture(scope="module")
def population():
    return real_images.real(DataTable(size=IMAGES), 32, "L", 0)


@pytest.fixture(scope="module")
def folder(population, tmp_path_factory):
    """The population as files: (path, caption) each."""
    where = tmp_path_factory.mktemp("images")
    for i, image in enumerate(population.images):
        Image.fromarray(image[..., 0]).save(where / f"{i}.png")
    return [(where / f"{i}.png", caption) for i, caption in enumerate(population.captions)]


def stock_training(pipeline, folder, steps):
    train(pipeline, folder, steps, BATCH, TARGETS)


def our_sampling(generator, captions):
    for start in range(0, len(captions), SAMPLED):
        seeds = [seed_of("bench", start, i) for i in range(SAMPLED)]
        generator.sample(captions[start : start + SAMPLED], seeds, lambda count: None)


def ours(base, steps=STEPS):
    guidance = {"rule": "constant", "scale": SCALE}
    generate = {"guidance": guidance, "steps": DDIM, "batch_size": SAMPLED}
    return DiffusionGenerator(
        base, parse({"generate": generate, "finetune": {"steps": steps}}).settings
    )


@pytest.mark.benchmark(group="one generation: 200 steps of 64, then 500 images in 20 steps of CFG")
class TestGeneration:
    # First: loading a model of ours sets how this process keeps memory.
    def test_stock(self, stock, population, folder, benchmark):
        def generation():
            stock_training(stock, folder, STEPS)
            draw_stock(stock, population.captions, SAMPLED, DDIM, SCALE)
            unload(stock)

        benchmark.pedantic(generation, rounds=3)

    @pytest.mark.parametrize("compiled", [False, True], ids=["as it is", "compiled before"])
    def test_ours(self, compiled, population, benchmark, tmp_path):
        base = model.load("digits", compiled=compiled)
        rounds = iter(range(100))

        def generation(steps=STEPS, images=IMAGES):
            generator, folder = ours(base, steps), tmp_path / str(next(rounds)) / "gen_001"
            generator.fit(population, 1, folder, lambda count: None)
            our_sampling(generator, population.captions[:images])
            assert (folder / "lora").is_dir()

        generation(2, SAMPLED)
        benchmark.pedantic(generation, rounds=3)


@pytest.mark.benchmark(group="ten steps of finetuning, 64 images each")
class TestFinetuning:
    def test_ours(self, base, population, benchmark, tmp_path):
        rounds = iter(range(100))

        def train():
            folder = tmp_path / str(next(rounds))
            finetune(base, population, FinetuneTable(steps=10), 0, 1, folder)

        benchmark.pedantic(train, rounds=3, warmup_rounds=1)

    def test_stock(self, stock, folder, benchmark):
        def train():
            stock_training(stock, folder, 10)
            unload(stock)

        benchmark.pedantic(train, rounds=3, warmup_rounds=1)

    def test_full_step_of_the_denoiser_alone(self, base, benchmark):
        """Nearly a lower bound of the time of a step: forward and backward, nothing else."""
        unet = base.unet.train().requires_grad_(True)
        latents = torch.randn((BATCH, *base.latent_shape)).to(memory_format=torch.channels_last)
        times, told = torch.randint(1000, (BATCH,)), base.embed(["a handwritten digit two"] * BATCH)

        def train():
            for _ in range(10):
                base.denoise(latents, times, told).square().mean().backward()

        benchmark.pedantic(train, rounds=3, warmup_rounds=1)
        assert np.isfinite(sum(p.grad.abs().sum().item() for p in unet.parameters()))


@pytest.mark.benchmark(group="sampling 250 images with an adapter, 5 steps of CFG")
class TestSampling:
    @pytest.fixture
    def captions(self, population):
        return population.captions[:SAMPLED]

    def test_ours(self, base, population, captions, benchmark, tmp_path):
        finetune(base, population, FinetuneTable(steps=1), 0, 1, tmp_path)
        guidance = {"rule": "constant", "scale": SCALE}
        table = {"guidance": guidance, "steps": 5, "batch_size": SAMPLED}
        generator = DiffusionGenerator(base, parse({"generate": table}).settings)
        trainable.load(base, generator.settings.finetune, [tmp_path])
        benchmark.pedantic(our_sampling, (generator, captions), rounds=3, warmup_rounds=1)

    def test_stock(self, stock, folder, captions, benchmark):
        stock_training(stock, folder, 1)

        benchmark.pedantic(
            draw_stock, (stock, captions, SAMPLED, 5, SCALE), rounds=3, warmup_rounds=1
        )
