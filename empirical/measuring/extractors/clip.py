"""CLIP: images and captions in one space of language and vision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from empirical.embedded import MODELS
from empirical.measuring.extractors import _networks

WEIGHTS = "openai/clip-vit-large-patch14"


@dataclass(frozen=True)
class Clip:
    """A CLIP of the library transformers, with its tokenizer and its preprocessing of images."""

    model: Any
    tokenizer: Any
    prepare: _networks.Preparation

    def images(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Return projected embeddings [n, d] (float32) of images, of unit length."""
        import torch

        with torch.no_grad():
            parts = [
                self.model.visual_projection(self.model.vision_model(pixel_values=batch)[1])
                for batch in _networks.batches(images, self.prepare, self.model.device)
            ]
        return _unit(torch.cat(parts))

    def texts(self, captions: Sequence[str]) -> Float[np.ndarray, "n d"]:
        """Return projected embeddings [n, d] (float32) of captions, of unit length.

        Equal captions are embedded once; long ones are truncated to the model's limit, usually 77
        tokens.
        """
        import torch

        unique = list(dict.fromkeys(captions))
        tokens = self.tokenizer(
            unique,
            padding="max_length",
            max_length=self.model.config.text_config.max_position_embeddings,
            truncation=True,
            return_tensors="pt",
        ).to(self.model.device)
        with torch.no_grad():
            parts = [
                self.model.text_projection(
                    self.model.text_model(
                        input_ids=tokens.input_ids[start : start + _networks.BATCH],
                        attention_mask=tokens.attention_mask[start : start + _networks.BATCH],
                    )[1]
                )
                for start in range(0, len(unique), _networks.BATCH)
            ]
        place = {caption: index for index, caption in enumerate(unique)}
        return _unit(torch.cat(parts))[[place[caption] for caption in captions]]


def load(weights: str, offline: bool = False) -> Clip:
    """Load a CLIP from a folder or the hub, in float32; or that of an embedded model, by its name.

    The default is the ViT-L/14 of OpenAI; the paper of CMMD takes its variant for 336 pixels.
    Source: Radford et al. 2021 (arXiv 2103.00020).
    """
    from transformers import AutoTokenizer, CLIPModel

    what = "the CLIP"
    if weights in (path.parent.name for path in MODELS.glob("*/clip")):
        weights, offline = str(MODELS / weights / "clip"), True
    model = _networks.network(CLIPModel, what, weights, offline)
    tokenizer = _networks.pretrained(
        AutoTokenizer, f"the tokenizer of {what}", weights, offline, trust_remote_code=False
    )
    prepare = _networks.preparation(what, weights, offline)
    return Clip(model, tokenizer, prepare)


def _unit(embeddings: Any) -> Float[np.ndarray, "n d"]:
    return (embeddings / embeddings.norm(dim=-1, keepdim=True)).cpu().numpy()
