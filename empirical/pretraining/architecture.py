"""The parts of an embedded model: a StableDiffusionPipeline of a few million parameters.

Every part is an instance of Stable Diffusion's class, only smaller, so that the same code runs
both. Images are 32 x 32; with three levels, latents are 4 x 8 x 8.
"""

from collections.abc import Callable, Iterable

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import BatchEncoding, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from empirical.embedded import SIDE
from empirical.pretraining.plan import Sizes

_LATENT_CHANNELS = 4
_FEWEST_TOKENS = 12
_BOS, _EOS = "<|startoftext|>", "<|endoftext|>"


def tokenizer(captions: Iterable[str]) -> CLIPTokenizer:
    """Return a byte-level tokenizer in which each word of some captions is one token.

    Words are those into which every CLIP tokenizer splits a caption: lower-case, single numerals,
    punctuation apart. All bytes are in the vocabulary, so that any other caption can be encoded
    too, letter by letter. It takes as many tokens as the longest caption needs, 12 or more.
    """
    captions = list(captions)
    letters = _byte_alphabet()
    split = _splitter(letters)
    words = sorted({word for caption in captions for word in split(caption)})
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
    longest = max((len(split(caption)) for caption in captions), default=0)
    return CLIPTokenizer(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[tuple(merge.split()) for merge in dict.fromkeys(merges)],  # type: ignore[misc]
        model_max_length=max(_FEWEST_TOKENS, longest + 2),
    )


def encoded(tokenizer: CLIPTokenizer, captions: list[str]) -> BatchEncoding:
    """Return the tokens of captions, and the mask of those that are not padding."""
    return tokenizer(
        captions,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )


def text_encoder(tokenizer: CLIPTokenizer, sizes: Sizes) -> CLIPTextModel:
    """Return a text encoder for the vocabulary of a tokenizer."""
    return CLIPTextModel(text_config(tokenizer, sizes))


def text_config(tokenizer: CLIPTokenizer, sizes: Sizes) -> CLIPTextConfig:
    """Return the configuration of a text encoder of two layers."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=sizes.text,
        intermediate_size=2 * sizes.text,
        projection_dim=sizes.text,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def vae(sizes: Sizes, channels: int) -> AutoencoderKL:
    """Return an autoencoder that halves the side of an image at every level after the first."""
    return AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * len(sizes.vae),
        up_block_types=("UpDecoderBlock2D",) * len(sizes.vae),
        block_out_channels=sizes.vae,
        layers_per_block=1,
        latent_channels=_LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=SIDE,
        mid_block_add_attention=False,
    )


def unet(sizes: Sizes) -> UNet2DConditionModel:
    """Return a denoiser that attends to the text at the coarser of its two levels only.

    Attention at the full latent size costs two to three times as much and gains nothing here.
    """
    return UNet2DConditionModel(
        sample_size=SIDE // 2 ** (len(sizes.vae) - 1),
        in_channels=_LATENT_CHANNELS,
        out_channels=_LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=sizes.denoiser,
        layers_per_block=1,
        cross_attention_dim=sizes.text,
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


def _splitter(letters: list[str]) -> Callable[[str], list[str]]:
    """Return the function that splits a caption into words of bytes, as every CLIP tokenizer."""
    vocabulary = {token: index for index, token in enumerate([*letters, _BOS, _EOS])}
    backend = CLIPTokenizer(vocab=vocabulary, merges=[]).backend_tokenizer

    def split(caption: str) -> list[str]:
        plain = backend.normalizer.normalize_str(caption)
        return [word for word, _ in backend.pre_tokenizer.pre_tokenize_str(plain)]

    return split
