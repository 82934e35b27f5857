"""The rules on the embedded model: images of a stock pipeline, and independence of the batch."""

import numpy as np
import pytest
import torch

from empirical.embedded.digits import CAPTIONS
from empirical.generator.sampling import draw, sample
from empirical.seeds import seed_of
from tests.helpers.guidance_examples import RULES, make

SEEDS = [seed_of("guidance images", i) for i in range(8)]
PROMPTS = list(CAPTIONS[2:10])


def weak_of(model, rule):
    """A model that is worse at its task: it hardly heeds the prompt."""
    if rule.weak is None:
        return None
    null = model.embed([""])

    def weak(latents, time, conditioning):
        return model.denoise(latents, time, null.expand(len(conditioning)))

    return weak


@pytest.mark.parametrize("name", RULES)
def test_a_digit_does_not_depend_on_its_batch(digits, name):
    rule = make(name, **RULES[name].examples[0])
    weak = weak_of(digits, rule)
    together = sample(digits, PROMPTS, SEEDS, rule, "ddim", 4, generation=2, weak=weak)
    assert together.std() > 10
    alone = sample(digits, PROMPTS[2:3], SEEDS[2:3], rule, "ddim", 4, generation=2, weak=weak)
    assert np.abs(together[2].astype(int) - alone[0]).max() <= 1


def test_autoguidance_with_the_unconditional_as_weak_model_is_constant_guidance(digits):
    rule = make("autoguidance", scale=3.0)
    weak = weak_of(digits, rule)
    ours = sample(digits, PROMPTS, SEEDS, rule, "ddim", 4, weak=weak).astype(int)
    theirs = sample(digits, PROMPTS, SEEDS, make("constant", scale=3.0), "ddim", 4)
    assert np.abs(ours - theirs).max() <= 1


@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (make("constant", scale=7.5), {}),
        (make("rescale", scale=7.5, phi=0.7), {"guidance_rescale": 0.7}),
    ],
    ids=lambda value: getattr(value, "rule", ""),
)
def test_a_loaded_pipeline_draws_what_it_draws_by_itself(digits, stock, rule, options):
    noise = torch.stack(
        [
            torch.randn(digits.latent_shape, generator=torch.Generator().manual_seed(s))
            for s in SEEDS
        ]
    )
    theirs = stock(
        PROMPTS,
        latents=noise,
        num_inference_steps=5,
        guidance_scale=rule.scale,
        output_type="np",
        **options,
    ).images
    ours = draw(stock, PROMPTS, rule, SEEDS, "ddim", 5)
    # One grey level: they round the same number, computed in another order.
    assert np.abs(ours / 255 - theirs.reshape(ours.shape)).max() < 1.01 / 255
