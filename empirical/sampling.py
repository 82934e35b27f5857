"""Guided sampling, over any scheduler of diffusers.

The loop is our own because the pipeline's cannot do what a chain needs: scales at and below one,
a scale that changes with the noise level from the very first step, and one generator per image.
"""

import inspect
from collections.abc import Callable, Sequence

import diffusers
import numpy as np
import torch
from torch import Tensor

from empirical.guidance import GuidanceRule
from empirical.model import Model

SAMPLERS = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "unipc": "UniPCMultistepScheduler",
}


@torch.no_grad()
def sample(
    model: Model,
    captions: Sequence[str],
    seeds: Sequence[int],
    guidance: GuidanceRule,
    sampler: str,
    steps: int,
    advance: Callable[[int], None] = lambda count: None,
) -> np.ndarray:
    """Draw one batch of images [n, height, width, channels] (uint8), one for each caption.

    Image i depends on ``captions[i]`` and ``seeds[i]`` alone, up to the rounding of batched
    arithmetic. `advance` is told the number of images after every step (n times the steps in all).
    """
    scheduler = getattr(diffusers, SAMPLERS[sampler]).from_config(model.pipeline.scheduler.config)
    scheduler.set_timesteps(steps, device=model.device)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    noise = torch.stack([torch.randn(model.latent_shape, generator=g) for g in generators])
    latents = noise.to(model.device) * scheduler.init_noise_sigma
    conditional, null = model.embed(captions), model.embed([""])
    options = {}
    if "generator" in inspect.signature(scheduler.step).parameters:
        options["generator"] = generators
    # Second-order samplers visit some noise levels twice: the scale follows the visits.
    for scale, time in zip(
        guidance.scales(len(scheduler.timesteps)), scheduler.timesteps, strict=True
    ):
        seen = scheduler.scale_model_input(latents, time)
        predicted = _guided(model.pipeline.unet, seen, time, conditional, null, float(scale))
        latents = scheduler.step(predicted, time, latents, **options).prev_sample
        advance(len(captions))
    return model.decode(latents)


def _guided(
    unet: Callable, seen: Tensor, time: Tensor, conditional: Tensor, null: Tensor, scale: float
) -> Tensor:
    """Return e_u + w (e_c - e_u), asking the denoiser only for what has weight."""
    if scale == 1:
        return unet(seen, time, conditional).sample
    unconditional = null.expand(len(seen), -1, -1)
    if scale == 0:
        return unet(seen, time, unconditional).sample
    both = unet(torch.cat([seen, seen]), time, torch.cat([unconditional, conditional])).sample
    e_u, e_c = both.chunk(2)
    return e_u + scale * (e_c - e_u)
