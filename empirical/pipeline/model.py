"""A text-to-image latent diffusion model with the operations of a chain: embed, encode, decode.

The embedded model and Stable Diffusion 1 and 2 are the same class of diffusers,
`StableDiffusionPipeline`, and Stable Diffusion XL is its sister; all take the same path here.

Axes have the same names in the annotations of all modules: images [n, h, w, c] with n images and
c colours, latents [n, z, y, x] with z channels, features [n, d].
"""

import os
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.models.attention_processor import AttnProcessor
from diffusers.utils import logging as diffusers_logging
from jaxtyping import Float, Float32, Shaped, UInt8
from torch import Tensor, nn
from torch.nn import functional
from transformers.utils import logging as transformers_logging

from empirical import files
from empirical.conditioning import Conditioning
from empirical.embedded import MODELS as EMBEDDED
from empirical.errors import UserError
from empirical.pipeline import adapters, compiled, loading, memory, winograd
from empirical.pipeline.bare import Bare
from empirical.pipeline.replay import CudaGraphs, Recorder
from empirical.pipeline.still import ADDED, Still

# Commands show their own progress bar.
diffusers_logging.disable_progress_bar()
transformers_logging.disable_progress_bar()

# CPU: SIMD width, and the sequence length below which plain attention beats the fused kernel.
_VECTOR, _FEW_TOKENS = 16, 256


def device_of_choice() -> torch.device:
    """Return this machine's GPU, or its CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """Return the product name of the device, for records."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} threads of a {platform.machine()} processor"


def load(
    name: str,
    device: torch.device | None = None,
    precision: str = "float32",
    compiled: bool = False,
    reproducible: bool = True,
) -> "Model":
    """Load an embedded model, a pipeline folder, or a pipeline of the hub, frozen.

    Stable Diffusion 1, 2 and XL are supported. Weights are read from safetensors files only, and
    no code of the model's is run. `precision` is that of the denoiser's and text encoder's
    arithmetic; weights stay in float32, so that an adapter's small changes are not rounded away.
    `reproducible` has a GPU take algorithms that give the same bits twice, for this process.
    Raises `UserError` where the name leads to no text-to-image pipeline.
    """
    embedded = EMBEDDED / name
    folder = embedded if embedded.is_dir() else Path(name)
    if folder.is_dir() and not (folder / "model_index.json").is_file():
        raise UserError(
            f"the model folder '{name}' is not a diffusers pipeline: it has no model_index.json"
        )
    if Path(name).exists() and not folder.is_dir():
        raise UserError(f"the model '{name}' is a file, it must be a pipeline folder")
    known = ", ".join(embedded_names())
    pipeline = loading.read(name, str(folder) if folder.is_dir() else name, known)
    device = device or device_of_choice()
    if device.type == "cuda":
        choose_algorithms(reproducible)
    where = embedded if embedded.is_dir() else folder
    loaded = Model(pipeline, device, where, getattr(torch, precision), compiled)
    if loaded.is_quick:
        memory.keep_freed()
    return loaded


def choose_algorithms(reproducible: bool) -> None:
    """Have a GPU's libraries take the fastest algorithms, or the fastest that are reproducible."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = not reproducible
    torch.use_deterministic_algorithms(reproducible, warn_only=True)
    # Otherwise every tensor is filled before it is written: an eighth of a denoiser's time.
    torch.utils.deterministic.fill_uninitialized_memory = False
    # It warns of attention, whose sums were the same in every trial.
    warnings.filterwarnings("ignore", "Memory Efficient attention defaults")


def embedded_names() -> list[str]:
    """Return the names of the models that come with this package."""
    return sorted(path.parent.name for path in files.visible(EMBEDDED, "*/model_index.json"))


@dataclass(frozen=True)
class Model:
    """A frozen pipeline on a device, the folder it came from, the precision it computes in, and
    whether the denoiser's arithmetic is compiled.

    `denoiser`, where given, replaces the pipeline's.
    """

    pipeline: DiffusionPipeline
    device: torch.device
    folder: Path
    precision: torch.dtype = torch.float32
    compiled: bool = False
    denoiser: nn.Module | None = None

    def __post_init__(self) -> None:
        for part in (self.pipeline.vae, self.unet, *self.text_encoders):
            # The methods of diffusers would warn of parts kept in float32; none are here.
            nn.Module.float(part.requires_grad_(False).eval().to(self.device))
        self.unet.to(memory_format=self.layout)
        if self.is_quick:
            # Fused attention pays for long sequences: plain products train faster on short ones.
            self.unet.set_attn_processor(AttnProcessor())
            winograd.use(self.unet)

    @property
    def is_quick(self) -> bool:
        """Whether the denoiser is small enough, on a CPU, for overheads to matter."""
        return self.device.type == "cpu" and self._latent_side**2 <= _FEW_TOKENS

    @property
    def layout(self) -> torch.memory_format:
        """The memory format of the denoiser's tensors."""
        # Convolutions on two cores are a third faster with the channels last. Tensor cores of a GPU
        # want them last too, but only compiled blocks normalise such tensors quickly.
        last = self.device.type == "cpu" or self.compiled
        return torch.channels_last if last else torch.contiguous_format

    @property
    def unet(self) -> nn.Module:
        """The denoiser."""
        return self.pipeline.unet if self.denoiser is None else self.denoiser

    @property
    def text_encoders(self) -> list[nn.Module]:
        """One text encoder, or the two of Stable Diffusion XL."""
        encoders = (getattr(self.pipeline, name, None) for name in loading.TEXT_ENCODERS)
        return [encoder for encoder in encoders if encoder is not None]

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
        return self._latent_side * self._pixels_per_latent

    @cached_property
    def _latent_side(self) -> int:
        return loading.side_of("the model", self.unet.config)

    @property
    def _pixels_per_latent(self) -> int:
        return 2 ** (len(self.pipeline.vae.config.block_out_channels) - 1)

    @property
    def _decoded_at_once(self) -> int:
        """The autoencoder's batch size: its memory grows with the pixels."""
        pixels = 2**21 if self.device.type == "cuda" else 2**19
        return max(1, min(64, pixels // self.side**2))

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one latent."""
        side = self._latent_side
        return self.unet.config.in_channels, side, side

    def embed(self, captions: Sequence[str]) -> Conditioning:
        """Return text embeddings, a row for each caption; equal captions are encoded once.

        The empty caption gives the null embedding, the same one in finetuning and in sampling:
        zeros where the pipeline is configured so (Stable Diffusion XL), else the encoded empty
        text.
        """
        unique = list(dict.fromkeys(captions))
        with self.arithmetic():
            parts = [self._encode_text(unique[i : i + 64]) for i in range(0, len(unique), 64)]
        encoded = Conditioning.cat(parts)
        if "" in unique and self.pipeline.config.get("force_zeros_for_empty_prompt", False):
            encoded = encoded.with_zeros(unique.index(""))
        place = {caption: index for index, caption in enumerate(unique)}
        return encoded[[place[caption] for caption in captions]]

    def _encode_text(self, captions: list[str]) -> Conditioning:
        tokenizers = (getattr(self.pipeline, name, None) for name in loading.TOKENIZERS)
        hidden, pooled = [], None
        for tokenizer, encoder in zip(filter(None, tokenizers), self.text_encoders, strict=True):
            written = tokenizer(
                captions,
                padding="max_length",
                # Some tokenizers lack a limit; the encoder's is its number of positions.
                max_length=min(tokenizer.model_max_length, encoder.config.max_position_embeddings),
                truncation=True,
                return_tensors="pt",
            ).to(self.device)
            tokens = written.input_ids
            if self.is_xl:
                # The last layer but one, and the pooled text of the second encoder.
                encoded = encoder(tokens, output_hidden_states=True)
                hidden.append(encoded.hidden_states[-2])
                pooled = encoded[0]
            else:
                masked = getattr(encoder.config, "use_attention_mask", False)
                mask = written.attention_mask if masked else None
                hidden.append(encoder(tokens, attention_mask=mask)[0])
        return Conditioning(
            torch.cat(hidden, -1).float(), None if pooled is None else pooled.float()
        )

    @property
    def is_xl(self) -> bool:
        """Whether the denoiser takes pooled text and sizes too, as Stable Diffusion XL's does."""
        return self.unet.config.addition_embed_type == "text_time"

    def denoise(
        self,
        latents: Float[Tensor, "n z y x"],
        timesteps: Shaped[Tensor, ""] | Shaped[Tensor, " n"],
        conditioning: Conditioning,
    ) -> Float32[Tensor, "n z y x"]:
        """Return the denoiser's prediction for noisy latents [n, ...], in float32."""
        added = None
        hidden, read = conditioning.hidden, None
        if self.device.type == "cpu" and (missing := -hidden.shape[1] % _VECTOR):
            # Attention takes half the time where keys fill SIMD vectors; the padding is masked.
            read = torch.arange(hidden.shape[1] + missing).expand(len(hidden), -1) < hidden.shape[1]
            hidden = functional.pad(hidden, (0, 0, 0, missing))
        pooled = conditioning.pooled
        still = self._still if self._still is not None and self._still.is_held else None
        is_rounded = still is not None or self.unet.conv_in.weight.dtype == self.precision
        if is_rounded:
            latents, hidden = latents.to(self.precision), hidden.to(self.precision)
            pooled = None if pooled is None else pooled.to(self.precision)
        with nullcontext() if is_rounded else self.arithmetic():
            if still is not None:
                return still(latents, timesteps, hidden, *self._added(pooled, len(latents)))
            if pooled is not None:
                added = dict(zip(ADDED, self._added(pooled, len(latents)), strict=True))
            return self._denoiser(
                latents, timesteps, hidden, encoder_attention_mask=read, added_cond_kwargs=added
            ).float()

    def _added(
        self, pooled: Float[Tensor, "n p"] | None, count: int
    ) -> tuple[Float[Tensor, "n _"], ...]:
        """Return what Stable Diffusion XL takes besides: pooled text and sizes; else nothing."""
        return () if pooled is None else (pooled, self._sizes.expand(count, -1))

    @cached_property
    def _sizes(self) -> Float32[Tensor, " 6"]:
        """Original size, crop and target size for Stable Diffusion XL: the uncropped image."""
        sizes = [self.side, self.side, 0, 0, self.side, self.side]
        return torch.tensor(sizes, dtype=torch.float32, device=self.device)

    def drawing(self) -> AbstractContextManager:
        """Return a context for drawing: the weights are merged once, and nothing is trained.

        On a GPU, work on the same shapes is recorded and replayed, also in later contexts.
        """
        if self._still is None:
            return adapters.merged(self.unet, self.precision)
        return self._still.held()

    @cached_property
    def _still(self) -> Still | None:
        if self.recorder is None:
            return None
        return Still(self._bare, self._compute, self.precision, self.recorder)

    @cached_property
    def recorder(self) -> Recorder | None:
        """The recorder of work on a GPU, or None where nothing is recorded."""
        return CudaGraphs(self.device) if self.device.type == "cuda" else None

    @cached_property
    def _bare(self) -> Bare:
        return Bare(self.unet)

    @cached_property
    def _compute(self) -> Callable[..., Float[Tensor, "n z y x"]]:
        """The denoiser as a function of weights and inputs."""
        if not self.compiled:
            return self._bare
        # On a processor, a compiled whole also saves the calls between blocks.
        way = compiled.at_once if self.device.type == "cpu" else compiled.by_regions
        return way(self._bare)

    @cached_property
    def _denoiser(self) -> Callable[..., Float[Tensor, "n z y x"]]:
        if not self.compiled:
            return lambda *inputs, **options: self.unet(*inputs, **options).sample

        def run(*inputs: Any, **options: Any) -> Float[Tensor, "n z y x"]:
            self._bare.follow()
            return self._compute(dict(self._bare.merged()), *inputs, **options)

        return run

    def send(self, tensor: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Copy a tensor to the device, without waiting for work that a GPU still has to do."""
        if self.device.type != "cuda":
            return tensor.to(self.device)
        return tensor.pin_memory().to(self.device, non_blocking=True)

    def arithmetic(self) -> AbstractContextManager:
        """Return the context in which the denoiser and the text encoder compute."""
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.precision)

    @cached_property
    def _moments(self) -> tuple[Float32[Tensor, "z 1 1"], Float32[Tensor, "z 1 1"]] | None:
        """Mean and standard deviation [channels, 1, 1] of the autoencoder's latents per channel,
        before scaling, where its configuration has them."""
        config = self.pipeline.vae.config
        if config.get("latents_mean") is None:
            return None
        mean, std = (
            torch.tensor(config[name], dtype=torch.float32, device=self.device)[:, None, None]
            for name in ("latents_mean", "latents_std")
        )
        return mean, std

    @torch.no_grad()
    def encode(
        self, images: UInt8[np.ndarray, "n h w c"], batch_size: int | None = None
    ) -> tuple[Float[Tensor, "n z y x"], Float[Tensor, "n z y x"]]:
        """Map images [n, height, width, channels] (uint8) to the mean and standard deviation of
        their latents [n, ...], both scaled as the denoiser sees them, on the processor."""
        scale = self.pipeline.vae.config.scaling_factor
        batch_size = batch_size or self._decoded_at_once
        means, stds = [], []
        for start in range(0, len(images), batch_size):
            pixels = torch.from_numpy(images[start : start + batch_size]).to(self.device)
            posterior = self.pipeline.vae.encode(
                pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
            ).latent_dist
            mean, std = posterior.mean, posterior.std
            if self._moments is not None:
                mean, std = (mean - self._moments[0]) / self._moments[1], std / self._moments[1]
            means.append((mean * scale).cpu())
            stds.append((std * scale).cpu())
        return torch.cat(means), torch.cat(stds)

    @torch.no_grad()
    def decode(
        self, latents: Float[Tensor, "n z y x"], batch_size: int | None = None
    ) -> UInt8[np.ndarray, "n h w c"]:
        """Map latents, scaled as the denoiser's, to images [n, height, width, channels] (uint8).

        Raises `UserError` where the autoencoder's output is not finite.
        """
        scale = self.pipeline.vae.config.scaling_factor
        images = []
        for part in latents.split(batch_size or self._decoded_at_once):
            coded = part.to(self.device)
            if self._moments is None:
                coded = coded / scale
            else:
                coded = coded * self._moments[1] / scale + self._moments[0]
            pixels = self.pipeline.vae.decode(coded).sample
            if not torch.isfinite(pixels).all():
                raise UserError(
                    "the model's vae decodes finite latents to numbers that are not: its weights "
                    "are damaged, or overflow"
                )
            pixels = ((pixels + 1) * 127.5).round().clamp(0, 255)
            images.append(pixels.permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy())
        return np.concatenate(images)


def batches(count: int, size: int) -> Iterator[range]:
    """Split range(count) into ranges of at most `size`."""
    return (range(start, min(start + size, count)) for start in range(0, count, size))
