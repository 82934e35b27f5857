"""Pipelines with random weights: a tiny Stable Diffusion XL, and one of the size of version 1.5."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from empirical.embedded.digits import CAPTIONS
from empirical.pretraining.architecture import tokenizer

# The vocabulary of Stable Diffusion's text encoders.
_TOKENS = 49408


def tiny_xl(folder: Path) -> Path:
    """Write a Stable Diffusion XL pipeline of 16 x 16 pixels in colour."""
    torch.manual_seed(0)
    words = tokenizer(CAPTIONS)
    text = CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=16,
        intermediate_size=16,
        projection_dim=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=words.model_max_length,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    sizes = 6 * 8
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        attention_head_dim=(2, 4),
        cross_attention_dim=2 * text.hidden_size,
        norm_num_groups=8,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=text.projection_dim + sizes,
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=16,
    )
    StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        text_encoder_2=CLIPTextModelWithProjection(text),
        tokenizer=words,
        tokenizer_2=words,
        unet=unet,
        scheduler=_schedule(),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def version_15(folder: Path) -> Path:
    """Write a pipeline with the configuration of Stable Diffusion 1.5: a denoiser of 860 M
    parameters, 512 x 512 pixels; 4 GB on disk."""
    size_of_15().save_pretrained(folder)
    return folder


def size_of_15() -> StableDiffusionPipeline:
    """Return a pipeline with the configuration of Stable Diffusion 1.5, on torch's device."""
    torch.manual_seed(0)
    words = _words()
    return StableDiffusionPipeline(
        vae=_autoencoder(512),
        text_encoder=CLIPTextModel(_text(words, 768, 12, 12)),
        tokenizer=words,
        unet=UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8),
        scheduler=_schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def size_of_xl() -> StableDiffusionXLPipeline:
    """Return a pipeline with the configuration of Stable Diffusion XL, on torch's device: a
    denoiser of 2.6 billion parameters, 1024 x 1024 pixels."""
    torch.manual_seed(0)
    words = _words()
    unet = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    return StableDiffusionXLPipeline(
        vae=_autoencoder(1024),
        text_encoder=CLIPTextModel(_text(words, 768, 12, 12)),
        text_encoder_2=CLIPTextModelWithProjection(_text(words, 1280, 32, 20)),
        tokenizer=words,
        tokenizer_2=words,
        unet=unet,
        scheduler=_schedule(),
        add_watermarker=False,
    )


def _words() -> CLIPTokenizer:
    words = tokenizer(CAPTIONS)
    words.model_max_length = 77
    # As many as the text encoders have: a chain refuses a tokenizer that does not match.
    words.add_tokens([f"<unused {i}>" for i in range(_TOKENS - len(words))])
    return words


def _text(words: CLIPTokenizer, width: int, layers: int, heads: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=_TOKENS,
        hidden_size=width,
        intermediate_size=4 * width,
        projection_dim=width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=77,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )


def _autoencoder(side: int) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        sample_size=side,
    )


def _schedule() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
