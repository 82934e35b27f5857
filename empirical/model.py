"""A text-to-image latent diffusion model, as a chain uses it: embed, encode, decode.

The embedded model and Stable Diffusion are the same class, `diffusers.StableDiffusionPipeline`,
and take the same path through here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from torch import Tensor
from transformers.utils import logging as transformers_logging

from empirical.errors import UserError

# The chain has a progress bar of its own.
diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()

EMBEDDED = Path(__file__).parent / "models"
PREDICTIONS = {"epsilon", "v_prediction", "sample"}


def device_of_choice() -> torch.device:
    """Return the accelerator of this machine, or its processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(name: str, device: torch.device | None = None) -> "Model":
    """Load an embedded model, a pipeline folder, or a pipeline of the hub, frozen, in float32.

    Raises `UserError` where the name leads to no pipeline of text to image.
    """
    embedded = EMBEDDED / name
    folder = embedded if embedded.is_dir() else Path(name)
    if folder.is_dir() and not (folder / "model_index.json").is_file():
        raise UserError(
            f"the model folder '{name}' is not a diffusers pipeline: it has no model_index.json"
        )
    if Path(name).exists() and not folder.is_dir():
        raise UserError(f"the model '{name}' is a file, where a pipeline folder is wanted")
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            str(folder) if folder.is_dir() else name,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the model '{name}' is neither an embedded model ({', '.join(embedded_names())}), nor "
            f"a folder or hub id that loads as a StableDiffusionPipeline: {reason}"
        ) from error
    _must_be_plain(name, pipeline)
    return Model(pipeline, device or device_of_choice(), embedded if embedded.is_dir() else folder)


def _must_be_plain(name: str, pipeline: StableDiffusionPipeline) -> None:
    """Raise `UserError` for relatives of Stable Diffusion that load as it but want other inputs."""
    unet, vae = pipeline.unet.config, pipeline.vae.config
    if unet.in_channels != vae.latent_channels or unet.addition_embed_type is not None:
        raise UserError(
            f"the model '{name}' is no plain text-to-image pipeline (Stable Diffusion 1 or 2): its "
            f"denoiser takes {unet.in_channels} channels for latents of {vae.latent_channels}"
            + (" and further embeddings" if unet.addition_embed_type is not None else "")
        )
    kind = pipeline.scheduler.config.get("prediction_type", "epsilon")
    if kind not in PREDICTIONS:
        raise UserError(
            f"the model '{name}' predicts '{kind}', known are {', '.join(sorted(PREDICTIONS))}"
        )


def embedded_names() -> list[str]:
    """Return the names of the models that come with this package."""
    return sorted(path.parent.name for path in EMBEDDED.glob("*/model_index.json"))


@dataclass(frozen=True)
class Model:
    """A frozen pipeline on a device, and the folder it came from."""

    pipeline: StableDiffusionPipeline
    device: torch.device
    folder: Path

    def __post_init__(self) -> None:
        for part in (self.pipeline.vae, self.pipeline.text_encoder, self.pipeline.unet):
            part.requires_grad_(False).eval().to(self.device)
            if part.dtype != torch.float32:
                part.to(torch.float32)
        # Convolutions on two cores are a third faster with the channels last.
        self.pipeline.unet.to(memory_format=torch.channels_last)

    @property
    def channels(self) -> int:
        """Colour channels of an image: 1 (grey) or 3."""
        return self.pipeline.vae.config.in_channels

    @property
    def mode(self) -> str:
        """The pillow mode of an image of this model."""
        return "L" if self.channels == 1 else "RGB"

    @cached_property
    def side(self) -> int:
        """Width and height of an image in pixels."""
        return self.pipeline.unet.config.sample_size * self._pixels_per_latent

    @property
    def _pixels_per_latent(self) -> int:
        return 2 ** (len(self.pipeline.vae.config.block_out_channels) - 1)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one latent."""
        side = self.pipeline.unet.config.sample_size
        return self.pipeline.unet.config.in_channels, side, side

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> Tensor:
        """Return text embeddings [n, tokens, width]; equal captions are encoded once.

        The empty caption gives the null embedding, the same one in finetuning and in sampling.
        """
        unique = list(dict.fromkeys(captions))
        tokens = self.pipeline.tokenizer(
            unique,
            padding="max_length",
            max_length=self.pipeline.tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        ).input_ids.to(self.device)
        encoded = torch.cat([self.pipeline.text_encoder(part)[0] for part in tokens.split(64)])
        place = {caption: index for index, caption in enumerate(unique)}
        return encoded[[place[caption] for caption in captions]]

    @torch.no_grad()
    def encode(self, images: np.ndarray, batch_size: int = 64) -> tuple[Tensor, Tensor]:
        """Map images [n, height, width, channels] (uint8) to the mean and standard deviation of
        their latents [n, ...], both scaled as the denoiser sees them, on the processor."""
        scale = self.pipeline.vae.config.scaling_factor
        means, deviations = [], []
        for start in range(0, len(images), batch_size):
            pixels = torch.from_numpy(images[start : start + batch_size]).to(self.device)
            posterior = self.pipeline.vae.encode(
                pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
            ).latent_dist
            means.append((posterior.mean * scale).cpu())
            deviations.append((posterior.std * scale).cpu())
        return torch.cat(means), torch.cat(deviations)

    @torch.no_grad()
    def decode(self, latents: Tensor, batch_size: int = 64) -> np.ndarray:
        """Map latents as the denoiser sees them to images [n, height, width, channels] (uint8)."""
        scale = self.pipeline.vae.config.scaling_factor
        images = []
        for part in latents.split(batch_size):
            pixels = self.pipeline.vae.decode(part.to(self.device) / scale).sample
            pixels = ((pixels + 1) * 127.5).round().clamp(0, 255)
            images.append(pixels.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy())
        return np.concatenate(images)


def batches(count: int, size: int) -> Iterator[range]:
    """Cut `count` things into ranges of at most `size`."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))
