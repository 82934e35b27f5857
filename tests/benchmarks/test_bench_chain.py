"""The chain beside what a user would write instead, in one run."""

import pytest
import torch

from empirical import data, finetuning, model
from empirical.digits.dataset import CAPTIONS
from empirical.finetuning import finetune
from empirical.guidance import Constant
from empirical.recipe import DataTable, FinetuneTable
from empirical.sampling import sample

PROMPTS = [CAPTIONS[i % 10] for i in range(64)]
STEPS = 5


@pytest.fixture(scope="module")
def base():
    loaded = model.load("digits")
    loaded.pipeline.set_progress_bar_config(disable=True)
    yield loaded
    finetuning.detach(loaded)


@pytest.mark.benchmark(group="sampling 64 images, 5 steps, CFG 3")
def test_our_loop(base, benchmark):
    rule = Constant(rule="constant", scale=3.0)
    benchmark.pedantic(
        sample, (base, PROMPTS, list(range(64)), rule, "ddim", STEPS), rounds=5, warmup_rounds=1
    )


@pytest.mark.benchmark(group="sampling 64 images, 5 steps, CFG 3")
def test_the_stock_pipeline(base, benchmark):
    def draw():
        generators = [torch.Generator().manual_seed(i) for i in range(64)]
        return base.pipeline(
            PROMPTS, generator=generators, num_inference_steps=STEPS, guidance_scale=3.0
        )

    benchmark.pedantic(draw, rounds=5, warmup_rounds=1)


@pytest.mark.benchmark(group="finetuning 5 steps of 64 images")
def test_our_training(base, benchmark, tmp_path):
    population = data.real(DataTable(size=500), base.side, base.mode, 0)
    table = FinetuneTable(steps=5)
    folders = iter(range(100))

    def train():
        finetune(base, population, table, 0, 1, tmp_path / str(next(folders)))

    benchmark.pedantic(train, rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="finetuning 5 steps of 64 images")
def test_training_that_encodes_at_every_step(base, benchmark):
    """The stock training script: the VAE and the text encoder in every step."""
    population = data.real(DataTable(size=500), base.side, base.mode, 0)

    def train():
        finetuning._add_adapter(base, 8, 0)
        unet = base.pipeline.unet.train()
        weights = [p for p in unet.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=5e-4)
        for _ in range(5):
            index = torch.randint(500, (64,))
            mean, deviation = base.encode(population.images[index.numpy()])
            latents = mean + deviation * torch.randn_like(mean)
            noise, times = torch.randn_like(latents), torch.randint(1000, (64,))
            noisy = base.pipeline.scheduler.add_noise(latents, noise, times)
            told = base.embed([population.captions[int(i)] for i in index])
            loss = (unet(noisy, times, told).sample - noise).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    benchmark.pedantic(train, rounds=3, warmup_rounds=1)
