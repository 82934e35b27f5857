"""Captions that a model's text encoders truncate, or cannot distinguish."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from empirical.images.notes import counted
from empirical.pipeline.model import Model

_SHOWN = 80


def warn(base: Model, captions: Sequence[str]) -> None:
    """Warn once of captions that are truncated, and once of captions with equal tokens.

    The latter are one prompt to the model, but separate families in V_W and V_B. With two
    encoders, as in Stable Diffusion XL, captions are equal where both encoders' tokens are.
    """
    unique = list(dict.fromkeys(captions))
    cut: dict[str, int] = {}
    tokens: dict[str, list[tuple[int, ...]]] = {caption: [] for caption in unique}
    for tokenizer, limit in _tokenizers(base):
        untruncated = tokenizer(unique, truncation=False, verbose=False).input_ids
        seen = tokenizer(unique, truncation=True, max_length=limit, verbose=False).input_ids
        for caption, every, read in zip(unique, untruncated, seen, strict=True):
            tokens[caption].append(tuple(read))
            if len(every) > limit:
                cut[caption] = max(limit, cut.get(caption, 0))
    groups: dict[tuple[tuple[int, ...], ...], list[str]] = {}
    for caption in unique:
        groups.setdefault(tuple(tokens[caption]), []).append(caption)
    same = [group for group in groups.values() if len(group) > 1]
    if cut:
        limit = max(cut.values())
        names = [_end(caption) for caption in cut]
        warnings.warn(
            f"{len(cut)} of {len(unique)} different captions are longer than the {limit} tokens "
            f"that the text encoder reads, and are truncated: {counted(names)}; a word that the "
            f"model does not know counts as several tokens: use shorter captions, or another model",
            stacklevel=2,
        )
    if same:
        first, second = same[0][:2]
        because = (
            f"are alike in the {max(cut.values())} tokens that the text encoder reads"
            if all(caption in cut for group in same for caption in group)
            else "become the same tokens (a tokenizer may ignore capitals and spaces)"
        )
        warnings.warn(
            f"{sum(map(len, same))} different captions {because}: to the model they are "
            f"{len(same)}, but V_W and V_B count each as a family, as {_pair(first, second)}",
            stacklevel=2,
        )


def _tokenizers(base: Model) -> Iterator[tuple[Any, int]]:
    """Yield each tokenizer with its length limit: the smaller of its and its encoder's."""
    for name in ("", "_2"):
        tokenizer = getattr(base.pipeline, f"tokenizer{name}", None)
        encoder = getattr(base.pipeline, f"text_encoder{name}", None)
        if tokenizer is not None and encoder is not None:
            positions = getattr(encoder.config, "max_position_embeddings", None)
            # A tokenizer without a limit has 1e30.
            yield tokenizer, min(int(tokenizer.model_max_length), positions or 1 << 30)


def _end(caption: str) -> str:
    return caption if len(caption) <= _SHOWN else f"{caption[:40]}...{caption[-30:]}"


def _pair(first: str, second: str) -> str:
    """Return two captions, from where they begin to differ if they are long."""
    start = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
    start = max(0, start - 20) if max(len(first), len(second)) > _SHOWN else 0
    parts = ("..." * (start > 0) + text[start:] for text in (first, second))
    return " and ".join(
        f"'{text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}'" for text in parts
    )
