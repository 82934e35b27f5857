"""Load pipelines of diffusers, and verify that a chain supports them.

Every setting of a model's configuration is honoured or refused here, before anything runs.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors import SafetensorError
from torch import nn

from empirical.errors import UserError
from empirical.out_of_memory import is_out_of_memory

_PLAIN = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
_PIPELINES = {
    "StableDiffusionPipeline": (StableDiffusionPipeline, _PLAIN),
    "StableDiffusionXLPipeline": (StableDiffusionXLPipeline, {"add_watermarker": False}),
}
PREDICTIONS = {"epsilon", "v_prediction", "sample"}
TOKENIZERS, TEXT_ENCODERS = ("tokenizer", "tokenizer_2"), ("text_encoder", "text_encoder_2")
_PARTS = ("unet", "vae", *TEXT_ENCODERS)
# Schedulers whose x_t is sqrt(abar) x0 + sqrt(1 - abar) e, at integer timesteps.
_SCHEDULERS = {
    f"{name}Scheduler"
    for name in (
        "DDIM", "DDIMParallel", "DDPM", "DDPMParallel", "DEISMultistep", "DPMSolverMultistep",
        "DPMSolverSDE", "DPMSolverSinglestep", "EulerAncestralDiscrete", "EulerDiscrete",
        "HeunDiscrete", "IPNDM", "KDPM2AncestralDiscrete", "KDPM2Discrete", "LMSDiscrete", "PNDM",
        "SASolver", "TCD", "UniPCMultistep",
    )
}  # fmt: skip
# Keys of a denoiser's configuration that change its inputs, and the supported values.
_OF_DENOISERS = {
    "class_embed_type": (None,),
    "num_class_embeds": (None,),
    "encoder_hid_dim_type": (None, "text_proj"),
    "time_cond_proj_dim": (None,),
    "addition_embed_type": (None, "text_time"),
}
_OF_SCHEDULERS = {
    "timestep_type": (None, "discrete"),
    "use_flow_sigmas": (None, False),
    "sigma_data": (None,),
    "prediction_type": tuple(sorted(PREDICTIONS)),
}
_WEIGHTS = re.compile(r"\.safetensors$")
_SHARD = re.compile(r"-\d{5}-of-\d{5}")


def read(name: str, where: str, known: str) -> DiffusionPipeline:
    """Load a pipeline from a folder or the hub, its weights from safetensors files alone.

    A folder with half-precision files only is read from these. `name` names the model in errors,
    `known` lists the embedded models. Raises `UserError` for anything but a text-to-image
    pipeline, for unsupported settings, and for weights that are not finite.
    """
    try:
        index = DiffusionPipeline.load_config(where)
        kind = index.get("_class_name")
        if kind not in _PIPELINES:
            raise UserError(
                f"the model '{name}' is a {kind}, known are {', '.join(sorted(_PIPELINES))}"
            )
        pipeline = _loaded(name, where, index)
    except UserError:
        raise
    except (
        OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, SafetensorError,
    ) as error:  # fmt: skip
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the model '{name}' is neither an embedded model ({known}), nor "
            f"a folder or hub id of a pipeline with safetensors weights: {reason}"
        ) from error
    require_known(f"the model '{name}'", pipeline)
    for part, module in modules(pipeline):
        absent = next((key for key, weight in module.named_parameters() if weight.is_meta), None)
        if absent is not None:
            raise _incomplete(name, part, absent)
        wrong = not_finite(module)
        if wrong is not None:
            raise UserError(
                f"the model '{name}' has weights that are not finite numbers, '{wrong}' of its "
                f"{part} among them: its files are damaged, or overflowed in half precision"
            )
    return pipeline


def modules(pipeline: DiffusionPipeline) -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, module) of the parts with weights."""
    for part in _PARTS:
        module = getattr(pipeline, part, None)
        if module is not None:
            yield part, module


def not_finite(module: nn.Module) -> str | None:
    """Return the name of a weight that holds infinities or NaN, or None."""
    for name, weight in module.named_parameters():
        # The sum in float64 is finite where every number is, and takes no memory.
        if not torch.isfinite(weight.detach().sum(dtype=torch.float64)):
            return name
    return None


def _loaded(name: str, where: str, index: Mapping[str, Any]) -> DiffusionPipeline:
    cls, options = _PIPELINES[index["_class_name"]]
    options = {"use_safetensors": True, **options}
    if Path(where).is_dir():
        variant = _variant(Path(where))
        encoders = _text_encoders(name, where, index, variant)
        return cls.from_pretrained(where, variant=variant, **options, **encoders)
    try:
        encoders = _text_encoders(name, where, index, None)
        return cls.from_pretrained(where, **options, **encoders)
    except OSError as error:
        # Many models on the hub have half precision only.
        try:
            encoders = _text_encoders(name, where, index, "fp16")
            return cls.from_pretrained(where, variant="fp16", **options, **encoders)
        except (OSError, ValueError):
            raise error from None


def _text_encoders(
    name: str, where: str, index: Mapping[str, Any], variant: str | None
) -> dict[str, nn.Module]:
    """Load the text encoders of a pipeline; raise `UserError` where weights are missing.

    Their library would initialise these at random.
    """
    loaded = {}
    for part in TEXT_ENCODERS:
        library, kind = index.get(part) or (None, None)
        if library != "transformers" or not hasattr(transformers, str(kind)):
            continue
        folder = Path(where) / part
        has_variant = not folder.is_dir() or any(folder.glob(f"*.{variant}*.safetensors"))
        loaded[part], info = getattr(transformers, kind).from_pretrained(
            where,
            subfolder=part,
            variant=variant if has_variant else None,
            use_safetensors=True,
            output_loading_info=True,
        )
        for key in sorted(info["missing_keys"]):
            raise _incomplete(name, part, key)
    return loaded


def _incomplete(name: str, part: str, key: str) -> UserError:
    return UserError(
        f"the model '{name}' lacks weights, '{key}' of its {part} among them: its files are "
        f"incomplete, or another configuration's"
    )


def _variant(folder: Path) -> str | None:
    """Return the variant of weights, such as "fp16", of the parts that lack plain ones."""
    lacking: list[set[str]] = []
    for part in _PARTS:
        stems = [_WEIGHTS.sub("", path.name) for path in (folder / part).glob("*.safetensors")]
        variants = {_SHARD.sub("", stem).partition(".")[2] for stem in stems}
        if variants and "" not in variants:
            lacking.append(variants)
    if not lacking:
        return None
    shared = set.intersection(*lacking) or lacking[0]
    return "fp16" if "fp16" in shared else min(shared)


def require_known(what: str, pipeline: DiffusionPipeline) -> None:
    """Raise `UserError` for models that load as Stable Diffusion but take other inputs.

    `what` names the model in the error.
    """
    is_xl = isinstance(pipeline, StableDiffusionXLPipeline)
    required = [*TOKENIZERS, *TEXT_ENCODERS] if is_xl else [TOKENIZERS[0], TEXT_ENCODERS[0]]
    for part in (*required, "unet", "vae", "scheduler"):
        if getattr(pipeline, part, None) is None:
            raise UserError(f"{what} has no {part}, which a {type(pipeline).__name__} needs")
    for tokenizer, encoder in zip(TOKENIZERS, TEXT_ENCODERS, strict=True):
        if tokenizer in required:
            _require_matching_tokens(
                what, tokenizer, getattr(pipeline, tokenizer), getattr(pipeline, encoder)
            )
    _require_class(what, "vae", pipeline.vae, AutoencoderKL)
    _require_class(what, "unet", pipeline.unet, UNet2DConditionModel)
    if pipeline.config.get("requires_aesthetics_score", False):
        raise UserError(f"{what} takes an aesthetic score with each prompt: it is a refiner")
    _require_known_denoiser(what, pipeline, is_xl)
    _require_known_autoencoder(what, pipeline.vae.config, is_xl)
    scheduler = pipeline.scheduler
    if type(scheduler).__name__ not in _SCHEDULERS:
        raise UserError(
            f"{what} was trained for a {type(scheduler).__name__}, whose noise levels are others "
            f"than those of Stable Diffusion: known are {', '.join(sorted(_SCHEDULERS))}"
        )
    _require_values(
        what, "scheduler", {"prediction_type": "epsilon", **scheduler.config}, _OF_SCHEDULERS
    )


def side_of(what: str, unet: Mapping[str, Any]) -> int:
    """Return the height and width of a denoiser's latents; raise `UserError` unless they are given
    and equal."""
    size = unet.get("sample_size")
    sides = set(size) if isinstance(size, list | tuple) else {size}
    if len(sides) != 1 or not isinstance(side := next(iter(sides)), int):
        raise UserError(
            f"{what} has 'sample_size' {size} in unet/config.json, it must be one whole number or "
            f"two equal ones, the side of its latents: images are squares"
        )
    return side


def _require_matching_tokens(what: str, part: str, tokenizer: Any, encoder: nn.Module) -> None:
    """Raise `UserError` where a tokenizer does not match its text encoder: with missing files it
    still loads, and maps every word to the unknown token."""
    tokens, embeddings = len(tokenizer), encoder.get_input_embeddings().num_embeddings
    # Embeddings may be padded to a round number.
    if not embeddings / 2 < tokens <= embeddings:
        raise UserError(
            f"the {part} of {what} has {tokens} tokens, and its text encoder {embeddings}: its "
            f"files are missing, or another model's"
        )


def _require_class(what: str, part: str, module: nn.Module, kind: type) -> None:
    if not isinstance(module, kind):
        raise UserError(
            f"the {part} of {what} is a {type(module).__name__}, known is {kind.__name__}"
        )


def _require_values(
    what: str, part: str, config: Mapping[str, Any], known: Mapping[str, tuple[Any, ...]]
) -> None:
    for key, allowed in known.items():
        value = config.get(key)
        if value not in allowed:
            choices = ", ".join("none" if each is None else f"'{each}'" for each in allowed)
            raise UserError(
                f"{what} has '{key}' {value!r} in the configuration of its {part}, known: {choices}"
            )


def _require_known_denoiser(what: str, pipeline: DiffusionPipeline, is_xl: bool) -> None:
    unet, latents = pipeline.unet.config, pipeline.vae.config.latent_channels
    side_of(what, unet)
    if unet.in_channels != latents or unet.out_channels != latents:
        raise UserError(
            f"{what} is not a plain text-to-image pipeline: its denoiser takes {unet.in_channels} "
            f"channels and gives {unet.out_channels}, for latents of {latents}"
        )
    _require_values(what, "unet", unet, _OF_DENOISERS)
    added = unet.addition_embed_type == "text_time"
    if added != is_xl:
        raise UserError(
            f"{what} is a {type(pipeline).__name__}, but its denoiser "
            f"takes {'' if added else 'no '}pooled text and sizes"
        )
    if is_xl:
        taken = pipeline.unet.add_embedding.linear_1.in_features
        given = 6 * unet.addition_time_embed_dim + pipeline.text_encoder_2.config.projection_dim
        if taken != given:
            raise UserError(
                f"{what} takes {taken} numbers of pooled text and sizes, but a chain gives {given}"
            )


def _require_known_autoencoder(what: str, vae: Mapping[str, Any], is_xl: bool) -> None:
    if vae.get("shift_factor"):
        raise UserError(
            f"{what} has 'shift_factor' {vae['shift_factor']} in the configuration of its vae, "
            f"which its pipeline does not use: it must be absent"
        )
    moments = [vae.get("latents_mean"), vae.get("latents_std")]
    if (moments[0] is None) != (moments[1] is None) or (moments[0] is not None and not is_xl):
        raise UserError(
            f"{what} has 'latents_mean' {moments[0]} and 'latents_std' {moments[1]} in the "
            f"configuration of its vae: a StableDiffusionXLPipeline has both or none, others none"
        )
    for values in moments:
        if values is not None and len(values) != vae["latent_channels"]:
            raise UserError(
                f"{what} has {len(values)} values in 'latents_mean' or 'latents_std', and latents "
                f"of {vae['latent_channels']} channels"
            )
