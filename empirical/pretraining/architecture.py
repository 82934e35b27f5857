"""The parts of an embedded model: a StableDiffusionPipeline of a few million parameters.

Every part is an instance of Stable Diffusion's class, only smaller, so that the same code runs
both. Latents have 4 channels, and a quarter of an image's side.
"""

from collections.abc import Iterable

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from empirical.pretraining.plan import Sizes

_LATENT_CHANNELS = 4
_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"


def tokenizer(captions: Iterable[str], length: int = Sizes.text_length) -> CLIPTokenizer:
    """Return a byte-level tokenizer in which each word of some captions is one token.

    All bytes are in the vocabulary, so that any other caption can be encoded too, letter by letter.
    """
    letters = _byte_alphabet()
    words = sorted({word for caption in captions for word in caption.split()})
    merges: list[str] = []
    pieces: list[str] = []
    for word in words:
        # Joined from the end: what ends a word stands nowhere else, so words cannot interfere.
        right = f"{word[-1]}</w>"
        for left in reversed(word[:-1]):
            merges.append(f"{left} {right}")
            right = left + right
            pieces.append(right)
    tokens = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *dict.fromkeys(pieces),
        _BOS,
        _EOS,
    ]
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[tuple(merge.split()) for merge in dict.fromkeys(merges)],  # type: ignore[misc]
        model_max_length=length,
    )


def text_encoder(words: CLIPTokenizer, sizes: Sizes) -> CLIPTextModel:
    """Return a text encoder of two layers for the vocabulary of a tokenizer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=sizes.text_width,
            intermediate_size=2 * sizes.text_width,
            projection_dim=sizes.text_width,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=sizes.text_length,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def vae(sizes: Sizes) -> AutoencoderKL:
    """Return an autoencoder whose latents have a quarter of the image's side."""
    return AutoencoderKL(
        in_channels=sizes.channels,
        out_channels=sizes.channels,
        down_block_types=("DownEncoderBlock2D",) * len(sizes.vae),
        up_block_types=("UpDecoderBlock2D",) * len(sizes.vae),
        block_out_channels=sizes.vae,
        layers_per_block=1,
        latent_channels=_LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=sizes.side,
        mid_block_add_attention=False,
    )


def unet(sizes: Sizes) -> UNet2DConditionModel:
    """Return a denoiser that attends to the text at the coarser of its two levels only.

    Attention at the full latent size costs two to three times as much and gains nothing here.
    """
    return UNet2DConditionModel(
        sample_size=sizes.side // 2 ** (len(sizes.vae) - 1),
        in_channels=_LATENT_CHANNELS,
        out_channels=_LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=sizes.denoiser,
        layers_per_block=1,
        cross_attention_dim=sizes.text_width,
        attention_head_dim=8,
        norm_num_groups=16,
    ).to(memory_format=torch.channels_last)  # type: ignore[call-arg]


def scheduler() -> DDIMScheduler:
    """Return the noise schedule: scaled-linear, ending at a signal-to-noise ratio of 1.5e-4."""
    return DDIMScheduler(
        beta_start=0.0015,
        beta_end=0.0195,
        beta_schedule="scaled_linear",
        clip_sample=False,
        steps_offset=1,
        set_alpha_to_one=False,
        timestep_spacing="trailing",
    )


def _byte_alphabet() -> list[str]:
    """Return the 256 printable characters that represent bytes in byte-level tokenizers."""
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())
