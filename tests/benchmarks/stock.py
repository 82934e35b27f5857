"""A generation as the stock example of text-to-image LoRA does it, for any pipeline and device.

Images are opened when their turn comes, the autoencoder and the text encoder run in every step, the
adapter is a branch beside each layer (peft), and images come from the stock pipeline, adapter
unfused. In half precision the frozen parts are stored in it and the adapter learns in float32.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.training_utils import cast_training_params
from peft import LoraConfig
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

Pairs = Sequence[tuple[Path, str]]


def load(folder: Path, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"):
    """The pipeline as diffusers loads it, frozen."""
    return frozen(StableDiffusionPipeline.from_pretrained(folder, dtype=dtype).to(device))


def frozen(pipeline):
    """A pipeline that learns nothing yet, and shows no progress."""
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.requires_grad_(False).eval()
    return pipeline


class Pictures(Dataset):
    """Images of a folder, opened, resized and scaled at every visit, and their captions."""

    def __init__(self, pipeline, folder: Pairs) -> None:
        self.folder = folder
        self.side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        self.mode = "L" if pipeline.vae.config.in_channels == 1 else "RGB"
        captions = [caption for _, caption in folder]
        tokenizers = [pipeline.tokenizer, getattr(pipeline, "tokenizer_2", None)]
        padded = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        self.tokens = torch.stack(
            [words(captions, **padded).input_ids for words in tokenizers if words is not None], 1
        )

    def __len__(self) -> int:
        return len(self.folder)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = Image.open(self.folder[index][0]).convert(self.mode)
        pixels = np.array(image.resize((self.side, self.side), Image.Resampling.BILINEAR))
        pixels = torch.from_numpy(pixels).float().div(255).sub(0.5).div(0.5)
        return pixels.reshape(self.side, self.side, -1).permute(2, 0, 1), self.tokens[index]


def train(pipeline, folder: Pairs, steps: int, batch: int, targets: Sequence[str]) -> None:
    """Finetune an adapter of rank 8, a new one if there is none; it stays in the pipeline."""
    unet, vae, device, dtype = pipeline.unet.train(), pipeline.vae, pipeline.device, pipeline.dtype
    if not getattr(unet, "peft_config", {}):
        config = LoraConfig(
            r=8, lora_alpha=8, init_lora_weights="gaussian", target_modules=list(targets)
        )
        unet.add_adapter(config)
        cast_training_params(unet, torch.float32)
    weights = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=5e-4)
    pictures = DataLoader(Pictures(pipeline, folder), batch, shuffle=True, drop_last=True)
    batches = itertools.chain.from_iterable(itertools.repeat(pictures))
    for pixels, words in itertools.islice(batches, steps):
        with torch.no_grad():
            latents = vae.encode(pixels.to(device, dtype)).latent_dist.sample()
            latents = latents * vae.config.scaling_factor
            told, added = _encode(pipeline, words.to(device), len(pixels))
        noise = torch.randn_like(latents)
        times = torch.randint(1000, (batch,), device=device)
        noisy = pipeline.scheduler.add_noise(latents, noise, times)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            predicted = unet(noisy, times, told, added_cond_kwargs=added).sample
        loss = (predicted.float() - noise.float()).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
    unet.eval()


def _encode(pipeline, words: Tensor, count: int) -> tuple[Tensor, dict[str, Tensor] | None]:
    """Text embeddings [n, tokens, width], and what Stable Diffusion XL takes besides."""
    if words.shape[1] == 1:
        return pipeline.text_encoder(words[:, 0])[0], None
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2)
    encoded = [
        encoder(words[:, i], output_hidden_states=True) for i, encoder in enumerate(encoders)
    ]
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    sizes = torch.tensor([side, side, 0, 0, side, side], device=words.device).repeat(count, 1)
    hidden = torch.cat([each.hidden_states[-2] for each in encoded], -1)
    return hidden, {"text_embeds": encoded[1][0], "time_ids": sizes}


def sample(pipeline, captions: Sequence[str], batch: int, steps: int, scale: float) -> None:
    """Draw an image for every caption, with a generator for each."""
    for start in range(0, len(captions), batch):
        part = list(captions[start : start + batch])
        pipeline(
            part,
            generator=[torch.Generator().manual_seed(start + i) for i in range(len(part))],
            num_inference_steps=steps,
            guidance_scale=scale,
            output_type="np",
        )


def unload(pipeline) -> None:
    """Take the adapter out again."""
    pipeline.unet.delete_adapters("default")
