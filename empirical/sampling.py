"""Guided sampling, over any scheduler of diffusers.

The loop is our own because the pipeline's cannot do what a chain needs: scales at and below one,
a scale that changes with the noise level from the very first step, and one generator per image.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import diffusers
import numpy as np
import torch
from torch import Tensor

from empirical.errors import UserError
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
    arithmetic. `advance` is told the work as it goes, n times the steps in all. Raises
    `UserError` when latents are no longer numbers.
    """
    scheduler = prepare(model, sampler, steps)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    noise = torch.stack([torch.randn(model.latent_shape, generator=g) for g in generators])
    latents = noise.to(model.device) * scheduler.init_noise_sigma
    conditional, null = model.embed(captions), model.embed([""])
    options = {}
    if "generator" in inspect.signature(scheduler.step).parameters:
        options["generator"] = generators
    # Second-order samplers visit some noise levels twice, with the same scale.
    visits = scheduler.timesteps.tolist()
    levels = list(dict.fromkeys(visits))
    scales = dict(zip(levels, guidance.scales(len(levels)), strict=True))
    told = 0
    for done, (time, level) in enumerate(zip(scheduler.timesteps, visits, strict=True), start=1):
        seen = scheduler.scale_model_input(latents, time)
        scale = float(scales[level])
        predicted = _guided(model.pipeline.unet, seen, time, conditional, null, scale)
        latents = scheduler.step(predicted, time, latents, **options).prev_sample
        due = len(captions) * steps * done // len(visits)
        advance(due - told)
        told = due
    if not torch.isfinite(latents).all():
        raise UserError(
            f"sampling with '{sampler}' in {steps} steps at guidance scales from "
            f"{min(scales.values()):g} to {max(scales.values()):g} gave no finite images: "
            f"take a scale nearer to 1 or more steps"
        )
    return model.decode(latents)


def prepare(model: Model, sampler: str, steps: int) -> Any:
    """Return a scheduler of diffusers, set to a number of steps for the model's noise schedule.

    Raises `UserError` where it cannot take so many steps.
    """
    config = dict(model.pipeline.scheduler.config)
    trained = config.get("num_train_timesteps", steps)
    if steps > trained:
        raise UserError(
            f"'generate.steps' is {steps}, it must be at most {trained}, the noise levels of the "
            f"model"
        )
    # Latents have no range to clip to; some schedulers clip by default where the model's own,
    # of another class, had no such setting.
    scheduler = getattr(diffusers, SAMPLERS[sampler]).from_config({"clip_sample": False, **config})
    try:
        scheduler.set_timesteps(steps, device=model.device)
    except (ValueError, IndexError) as error:
        raise UserError(f"the sampler '{sampler}' cannot take {steps} steps: {error}") from error
    return scheduler


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
