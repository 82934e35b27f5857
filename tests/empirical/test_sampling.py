"""The sampling loop against that of diffusers, and the dependences of an image."""

import numpy as np
import pytest
import torch

from empirical.embedded.digits import CAPTIONS
from empirical.errors import UserError
from empirical.generator.sampling import SAMPLERS, levels_of, prepare, sample
from empirical.guidance import Constant, Decay
from empirical.seeds import seed_of
from tests.helpers import rounding
from tests.helpers.toy_denoiser import Toy

# With guidance twice as many images: enough to be convolved at points.
SEEDS = [seed_of("test", i) for i in range(8)]
PROMPTS = list(CAPTIONS[:8])


def constant(scale):
    return Constant(rule="constant", scale=scale)


@pytest.mark.parametrize("scale", [1.0, 3.0, 7.5])
def test_it_draws_what_the_stock_pipeline_draws(digits, stock, scale):
    noise = torch.stack(
        [
            torch.randn(digits.latent_shape, generator=torch.Generator().manual_seed(s))
            for s in SEEDS
        ]
    )
    theirs = stock(
        PROMPTS, latents=noise, num_inference_steps=5, guidance_scale=scale, output_type="np"
    ).images
    ours = sample(digits, PROMPTS, SEEDS, constant(scale), "ddim", 5)
    assert ours.shape == (8, 32, 32, 1)
    # One grey level: they round the same number, computed in another order.
    assert np.abs(ours / 255 - theirs.reshape(ours.shape)).max() < 1.01 / 255


def test_an_image_depends_on_its_own_prompt_and_seed_only(digits):
    together = sample(digits, PROMPTS, SEEDS, constant(4.0), "ddpm", 4)
    alone = sample(digits, PROMPTS[4:5], SEEDS[4:5], constant(4.0), "ddpm", 4)
    assert np.abs(together[4].astype(int) - alone[0]).max() <= 1
    other = sample(digits, PROMPTS[4:5], SEEDS[3:4], constant(4.0), "ddpm", 4)
    assert np.abs(together[4].astype(int) - other[0]).max() > 10


def test_scales_one_and_zero_are_limits_of_their_neighbours(digits):
    """They skip one of the two predictions; the answer must not jump."""
    for scale in (0.0, 1.0):
        limit = sample(digits, PROMPTS, SEEDS, constant(scale), "ddim", 4).astype(int)
        near = sample(digits, PROMPTS, SEEDS, constant(scale + 1e-6), "ddim", 4).astype(int)
        assert np.abs(limit - near).max() <= 1


def test_scale_zero_does_not_see_the_prompt(digits):
    single = sample(digits, PROMPTS[:1], SEEDS[:1], constant(0.0), "ddim", 4)
    two = sample(digits, PROMPTS[5:6], SEEDS[:1], constant(0.0), "ddim", 4)
    np.testing.assert_array_equal(single, two)


def test_a_decay_acts_from_the_first_step_on(digits):
    """With one step a decay is its starting scale."""
    decay = Decay(rule="decay", scale=5.0, rate=3.0)
    np.testing.assert_array_equal(
        sample(digits, PROMPTS, SEEDS, decay, "ddim", 1),
        sample(digits, PROMPTS, SEEDS, constant(5.0), "ddim", 1),
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_of_a_recipe_draws_digits(digits, sampler):
    counts = []
    images = sample(digits, PROMPTS, SEEDS, constant(1.5), sampler, 6, counts.append)
    assert sum(counts) == 6 * len(PROMPTS)
    # Black paper with some ink on it, which noise is not.
    assert 0.02 < images.mean() / 255 < 0.35
    again = sample(digits, PROMPTS, SEEDS, constant(1.5), sampler, 6)
    np.testing.assert_array_equal(images, again)


def test_the_samplers_are_those_that_a_recipe_allows():
    from typing import get_args

    from empirical.recipe import GenerateTable

    assert set(get_args(GenerateTable.model_fields["sampler"].annotation)) == set(SAMPLERS)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 7, 20])
def test_the_levels_are_those_that_the_sampler_visits(sampler, steps):
    toy = Toy()
    scheduler = prepare(toy, sampler, steps)
    levels = levels_of(scheduler)
    times = list(dict.fromkeys(scheduler.timesteps.tolist()))
    assert len(levels.progress) == steps
    # Tables of float32: products of a thousand factors, and of sigmas, whose squares lose twice.
    apart = 2 * rounding.float32_error(1, 1000**0.5)
    np.testing.assert_allclose(levels.alpha_cumprod, toy.alphas[times], rtol=apart)
    assert np.all(levels.sigma_next < levels.sigma)
    assert levels.sigma_next[-1] < 0.04
    # DDIM goes by a fixed stride, 142 at seven steps, which is not quite where it looks next.
    by_stride = [time - 1000 // steps for time in times[:-1]]
    after = by_stride if sampler == "ddim" else times[1:]
    np.testing.assert_allclose(levels.alpha_cumprod_next[:-1], toy.alphas[after], rtol=apart)


def test_ddim_levels_are_those_of_its_step():
    """From x to x' with no noise predicted: x' = sqrt(abar' / abar) x."""
    toy = Toy()
    scheduler = prepare(toy, "ddim", 7)
    levels = levels_of(scheduler)
    x = torch.ones(1, *toy.latent_shape)
    for time, now, after in zip(
        scheduler.timesteps, levels.alpha_cumprod, levels.alpha_cumprod_next, strict=True
    ):
        x_next = scheduler.step(torch.zeros_like(x), time, x).prev_sample
        # The square root of one, times x, over that of another, with what is left of 1 - abar.
        apart = rounding.float32_error(1, 8)
        np.testing.assert_allclose(x_next, (after / now) ** 0.5 * x, rtol=apart)


def test_a_sampler_that_cannot_take_the_prediction_says_so():
    with pytest.raises(UserError, match="'euler_ancestral' takes models that predict noise or v"):
        prepare(Toy("sample"), "euler_ancestral", 5)


def test_a_scale_that_blows_up_is_named():
    """Away from a narrow distribution, DDIM multiplies latents at every step."""
    toy = Toy(variance=0.01, null_variance=10.0)
    with pytest.raises(UserError, match="from -100 to -100 gave no finite images"):
        sample(toy, ["a"], SEEDS[:1], constant(-100.0), "ddim", 200)
