"""Inception v3 of 2015, as in papers: features of textures and ImageNet's classes."""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from empirical.errors import UserError
from empirical.measuring.extractors import _networks
from empirical.out_of_memory import is_out_of_memory

# No weights are published as safetensors, so there is no default.
WEIGHTS = ""
SOURCE = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth"
)


@dataclass(frozen=True)
class Inception:
    """The Inception v3 of torch-fidelity, which resizes as the original code does."""

    model: Any
    device: Any

    def images(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Return features [n, 2048] (float32) of the last pooling; grey images become RGB."""
        import torch

        parts = []
        for start in range(0, len(images), _networks.BATCH):
            part = images[start : start + _networks.BATCH]
            part = np.repeat(part, 3, axis=-1) if part.shape[-1] == 1 else part
            batch = torch.from_numpy(np.ascontiguousarray(np.moveaxis(part, -1, 1)))
            with torch.no_grad():
                parts.append(self.model(batch.to(self.device))[0].cpu())
        return torch.cat(parts).float().numpy()

    def texts(self, captions: Sequence[str]) -> None:
        """Return None: it embeds no captions."""
        return


def load(weights: str, offline: bool = False) -> Inception:
    """Load Inception by torch-fidelity, from a file of weights; there is no default.

    This file alone need not be safetensors: torch (2.6 and newer) reads
    it as plain tensors (``weights_only``), so it can run no code.
    Source: Szegedy et al. 2016 (arXiv 1512.00567); Heusel et al. 2017 (arXiv 1706.08500).
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import (  # type: ignore[import-not-found]
            FeatureExtractorInceptionV3,
        )
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"Inception's features need torch-fidelity, and a torchvision that fits your torch: "
            f"pip install torch-fidelity ({error})"
        ) from error
    if weights == WEIGHTS or not Path(weights).is_file():
        named = "" if weights == WEIGHTS else f"'{weights}' is no file: "
        raise UserError(
            f"{named}download {SOURCE} and name it, as in inception:FILE, because torch-fidelity's "
            f"own download would read it as a pickle"
        )
    import torch

    try:
        model = FeatureExtractorInceptionV3(
            "inception-v3-compat", ["2048"], feature_extractor_weights_path=weights
        )
    except (OSError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"'{weights}' does not load as torch-fidelity's Inception: {reason}"
        ) from error
    device: torch.device = _networks.device_of_choice()
    return Inception(model.eval().to(device), device)
