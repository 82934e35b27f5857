"""DINOv2: self-supervised features, closer to human judgement than Inception."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from empirical.measuring.extractors import _networks

WEIGHTS = "facebook/dinov2-large"


@dataclass(frozen=True)
class Dinov2:
    """A DINOv2 of the library transformers, with its preprocessing of images."""

    model: Any
    prepare: _networks.Preparation

    def images(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Return the normalised class token [n, d] (float32) of the last layer."""
        import torch

        with torch.no_grad():
            parts = [
                self.model(pixel_values=batch).last_hidden_state[:, 0].cpu()
                for batch in _networks.batches(images, self.prepare, self.model.device)
            ]
        return torch.cat(parts).numpy()

    def texts(self, captions: Sequence[str]) -> None:
        """Return None: it embeds no captions."""
        return


def load(weights: str, offline: bool = False) -> Dinov2:
    """Load a DINOv2 from a folder or the hub, in float32; the default is ViT-L/14.

    Source: Oquab et al. 2023 (arXiv 2304.07193); as features of generative models, Stein et al.
    2023 (arXiv 2306.04675).
    """
    from transformers import Dinov2Model

    what = "the DINOv2"
    model = _networks.network(Dinov2Model, what, weights, offline)
    prepare = _networks.preparation(what, weights, offline)
    return Dinov2(model, prepare)
