"""Guided sampling with any scheduler of diffusers.

The loop is written here because the pipelines of diffusers lack features that a chain needs: scales
at and below one, rules that change with the noise level from the very first step or with the image,
and one generator per image.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from empirical.errors import UserError
from empirical.guidance import GuidanceRule, Levels
from empirical.guidance._step import Predict, Step
from empirical.pipeline import loading
from empirical.pipeline.model import Model
from empirical.progress import Progress, silent

SAMPLERS = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_ancestral": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "unipc": "UniPCMultistepScheduler",
}
# Settings of a scheduler that belong to the model rather than to the sampler.
_OF_THE_MODEL = ("rescale_betas_zero_snr", "trained_betas", "clip_sample", "thresholding")


def draw(
    pipeline: Any,
    prompts: Sequence[str],
    guidance: GuidanceRule,
    seeds: Sequence[int],
    sampler: str = "ddim",
    steps: int = 50,
    *,
    generation: int = 0,
    weak: Predict | None = None,
) -> UInt8[np.ndarray, "n h w c"]:
    """Draw images [n, height, width, channels] (uint8) with a loaded Stable Diffusion pipeline.

    For a rule by itself, without a chain. The pipeline is frozen and set to float32 on the
    device where it is; otherwise like `sample`.
    """
    loading.require_known("the pipeline", pipeline)
    model = Model(pipeline, pipeline.device, Path())
    return sample(model, prompts, seeds, guidance, sampler, steps, generation=generation, weak=weak)


def sample(
    model: Model,
    captions: Sequence[str],
    seeds: Sequence[int],
    guidance: GuidanceRule,
    sampler: str,
    steps: int,
    progress: Progress = silent,
    *,
    generation: int = 0,
    weak: Predict | None = None,
) -> UInt8[np.ndarray, "n h w c"]:
    """Draw one batch of images [n, height, width, channels] (uint8), one for each caption.

    Image i depends on ``captions[i]`` and ``seeds[i]`` alone, up to the rounding of batched
    arithmetic. `progress` is called with the work as it goes, n times the steps in all.
    `generation` is that of the images in their chain, for rules that change with it. `weak` maps
    latents, time and embeddings to predictions: the model that ``guidance.weak`` names, if it names
    one. Raises `UserError` where the rule, the sampler and the model do not go together, and when
    latents are no longer numbers.
    """
    latents = sample_latents(
        model, captions, seeds, guidance, sampler, steps, progress, generation=generation, weak=weak
    )
    return model.decode(latents)


@torch.no_grad()
def sample_latents(
    model: Model,
    captions: Sequence[str],
    seeds: Sequence[int],
    guidance: GuidanceRule,
    sampler: str,
    steps: int,
    progress: Progress = silent,
    *,
    generation: int = 0,
    weak: Predict | None = None,
) -> Float[Tensor, "n z y x"]:
    """Return the latents [n, ...] that `sample` decodes."""
    guidance.check(sampler)
    if guidance.weak is not None and weak is None:
        raise UserError(
            f"the guidance rule '{guidance.key()}' compares with a weak model "
            f"('{guidance.weak}'), but none was given"
        )
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
    places = {level: place for place, level in enumerate(dict.fromkeys(visits))}
    levels = levels_of(scheduler)
    scales = np.asarray(guidance.scales(levels, generation, seeds), np.float64)
    scales = np.broadcast_to(scales.reshape(len(levels.progress), -1), (len(places), len(seeds)))
    memory: dict[str, Float[Tensor, "n z y x"]] = {}
    reported = 0
    for visit, (time, level) in enumerate(zip(scheduler.timesteps, visits, strict=True)):
        place = places[level]
        step = Step(
            x_t=scheduler.scale_model_input(latents, time),
            timestep=time,
            scales=scales[place],
            alpha_cumprod=float(levels.alpha_cumprod[place]),
            predicts=scheduler.config.prediction_type,
            memory=memory,
            predict=model.denoise,
            conditional=guidance.condition(
                conditional, float(levels.progress[place]), visit, seeds
            ),
            null=null,
            weak=None if guidance.weak is None else weak,
        )
        # Given a number, one-step schedulers look up their tables without a transfer from the GPU,
        # which would wait for all its queued work.
        moment = time if hasattr(scheduler, "step_index") else level
        latents = scheduler.step(guidance.guide(step), moment, latents, **options).prev_sample
        due = len(captions) * steps * (visit + 1) // len(visits)
        progress(due - reported)
        reported = due
    if not torch.isfinite(latents).all():
        _require_finite_weights(model, generation)
        raise UserError(
            f"sampling with '{sampler}' in {steps} steps at guidance scales from "
            f"{scales.min():g} to {scales.max():g} gave no finite images: "
            f"take a scale nearer to 1 or more steps"
        )
    return latents


def _require_finite_weights(model: Model, generation: int) -> None:
    """Raise `UserError` where the weights, not the settings of sampling, are the cause."""
    for part, module in loading.modules(model.pipeline):
        wrong = loading.not_finite(module)
        if wrong is None:
            continue
        if "parametrizations" in wrong and not wrong.endswith(".original"):
            raise UserError(
                f"the weights of the {part} that generation {generation} learnt are not finite "
                f"numbers: lower 'finetune.learning_rate', or set 'model.precision' to 'float32', "
                f"and start a new run"
            )
        raise UserError(
            f"the weights of the model's {part} are not finite numbers ('{wrong}'), so that it "
            f"draws nothing: its files are damaged, or overflowed in half precision"
        )


def prepare(model: Model, sampler: str, steps: int) -> Any:
    """Return a scheduler of diffusers, set to a number of steps for the model's noise schedule.

    Raises `UserError` where it cannot take that many steps, or not the model's prediction type.
    """
    config = dict(model.pipeline.scheduler.config)
    trained = config.get("num_train_timesteps", steps)
    if steps > trained:
        raise UserError(
            f"'generate.steps' is {steps}, it must be at most {trained}, the noise levels of the "
            f"model"
        )
    if sampler == "euler_ancestral" and config.get("prediction_type") == "sample":
        raise UserError(
            "the sampler 'euler_ancestral' takes models that predict noise or v, this one predicts "
            "'sample'"
        )
    kind = getattr(diffusers, SAMPLERS[sampler])
    for key in _OF_THE_MODEL:
        if config.get(key) and key not in _parameters(kind):
            able = [n for n, k in SAMPLERS.items() if key in _parameters(getattr(diffusers, k))]
            raise UserError(
                f"the model's scheduler needs '{key}', which the sampler '{sampler}' cannot do: "
                f"'generate.sampler' can be {', '.join(able)}"
            )
    # Latents have no range to clip to; some schedulers clip by default where the model's scheduler,
    # of another class, had no such setting.
    scheduler = kind.from_config({"clip_sample": False, **config})
    try:
        scheduler.set_timesteps(steps, device=model.device)
    except (ValueError, IndexError) as error:
        raise UserError(f"the sampler '{sampler}' cannot take {steps} steps: {error}") from error
    return scheduler


def _parameters(kind: type) -> Any:
    return inspect.signature(kind.__init__).parameters


def levels_of(scheduler: Any) -> Levels:
    """Return the noise levels that a prepared scheduler visits, and the level after each step."""
    visits = scheduler.timesteps.tolist()
    if hasattr(scheduler, "sigmas"):
        first = [visits.index(level) for level in dict.fromkeys(visits)]
        sigmas = scheduler.sigmas.double().cpu().numpy()[[*first, -1]]
        alphas = 1 / (1 + sigmas**2)
        return Levels(alphas[:-1], alphas[1:])
    alphas = scheduler.alphas_cumprod.double().cpu().numpy()
    timesteps = [int(time) for time in visits]
    if isinstance(scheduler, diffusers.DDIMScheduler):
        # It takes a fixed stride, whatever timestep it visits next.
        stride = scheduler.config.num_train_timesteps // len(timesteps)
        after = [time - stride for time in timesteps]
        last = float(scheduler.final_alpha_cumprod)
    else:
        after, last = [*timesteps[1:], -1], 1.0
    return Levels(alphas[timesteps], np.array([alphas[t] if t >= 0 else last for t in after]))
