"""A denoiser as a function of its weights."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from empirical.pipeline import winograd

Weights = Mapping[str, Shaped[Tensor, "..."]]


class Bare:
    """The architecture of a denoiser of diffusers, without weights.

    Each generation attaches an adapter and changes the denoiser's layers; the architecture stays
    the same object for all generations of a chain.
    """

    def __init__(self, denoiser: nn.Module) -> None:
        self._denoiser = denoiser
        with torch.device("meta"):
            self.module = type(denoiser).from_config(denoiser.config)
        self.module.set_attn_processor(dict(denoiser.attn_processors))
        if winograd.is_used(denoiser):
            winograd.use(self.module)
        # A parametrization changes its layer in place: the layers stay the same objects.
        self._places = []
        for name, _ in (*self.module.named_parameters(), *self.module.named_buffers()):
            owner, _, last = name.rpartition(".")
            self._places.append((name, denoiser.get_submodule(owner), last))

    def merged(self) -> Iterator[tuple[str, Shaped[Tensor, "..."]]]:
        """Yield the denoiser's current weights, base and adapter combined, by their names."""
        return ((name, getattr(layer, last)) for name, layer, last in self._places)

    def follow(self) -> None:
        """Take the settings of the denoiser: training or not, and gradient checkpointing."""
        bare, denoiser = self.module, self._denoiser
        if bare.training != denoiser.training:
            bare.train(denoiser.training)
        if bare.is_gradient_checkpointing != denoiser.is_gradient_checkpointing:
            act = "enable" if denoiser.is_gradient_checkpointing else "disable"
            getattr(bare, f"{act}_gradient_checkpointing")()

    def __call__(self, weights: Weights, *inputs: Any, **options: Any) -> Float[Tensor, "n z y x"]:
        """Return the prediction that given weights make."""
        return torch.func.functional_call(self.module, dict(weights), inputs, options).sample
