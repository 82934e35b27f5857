"""The parts of the embedded model: a StableDiffusionPipeline of three million parameters.

Every part is an instance of Stable Diffusion's class, only smaller, so that the same code runs
both. Images are grey, 32 x 32; latents are 4 x 8 x 8.
"""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from empirical.digits.dataset import CAPTIONS

_TEXT_WIDTH = 64
_TEXT_LENGTH = 12
_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"


def tokenizer() -> CLIPTokenizer:
    """Return a byte-level tokenizer in which each word of the captions is one token.

    All bytes are in the vocabulary, so that any other caption can be encoded too, letter by letter.
    """
    letters = _byte_alphabet()
    words = sorted({word for caption in CAPTIONS for word in caption.split()})
    merges: list[str] = []
    pieces: list[str] = []
    for word in words:
        symbols = [*word[:-1], f"{word[-1]}</w>"]
        left = symbols[0]
        for right in symbols[1:]:
            merges.append(f"{left} {right}")
            left += right
            pieces.append(left)
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
        model_max_length=_TEXT_LENGTH,
    )


def text_encoder(words: CLIPTokenizer) -> CLIPTextModel:
    """Return a text encoder of two layers for the vocabulary of a tokenizer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=_TEXT_WIDTH,
            intermediate_size=2 * _TEXT_WIDTH,
            projection_dim=_TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=_TEXT_LENGTH,
            bos_token_id=words.bos_token_id,
            eos_token_id=words.eos_token_id,
            pad_token_id=words.pad_token_id,
        )
    )


def vae() -> AutoencoderKL:
    """Return an autoencoder of 32 x 32 grey pixels with latents of 4 x 8 x 8."""
    return AutoencoderKL(
        in_channels=1,
        out_channels=1,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=32,
        mid_block_add_attention=False,
    )


def unet() -> UNet2DConditionModel:
    """Return a denoiser that attends to the text at the coarser of its two levels only.

    Attention at the full latent size costs two to three times as much and gains nothing here.
    """
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(48, 96),
        layers_per_block=1,
        cross_attention_dim=_TEXT_WIDTH,
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
