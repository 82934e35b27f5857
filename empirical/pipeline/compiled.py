"""A denoiser compiled once for all that a chain lays over its weights.

Each generation attaches an adapter of its own, and `torch.compile` would compile the denoiser anew
for each. So what is compiled is the bare architecture, with all weights as arguments: what a
generation has learnt is put together outside.
"""

from typing import Any

import torch
from torch import Tensor, nn

from empirical.pipeline import winograd


class CompiledDenoiser:
    """A denoiser of diffusers as it is at each call, weights and settings, compiled."""

    def __init__(self, denoiser: nn.Module) -> None:
        self._denoiser = denoiser
        with torch.device("meta"):
            self._bare = type(denoiser).from_config(denoiser.config)
        self._bare.set_attn_processor(dict(denoiser.attn_processors))
        if winograd.is_used(denoiser):
            winograd.use(self._bare)
        # What is laid over a weight changes its layer in place: the layers stay the same objects.
        self._places = []
        for name, _ in (*self._bare.named_parameters(), *self._bare.named_buffers()):
            owner, _, last = name.rpartition(".")
            self._places.append((name, denoiser.get_submodule(owner), last))
        self._run = torch.compile(self._computed)

    def __call__(self, *inputs: Any, **options: Any) -> Tensor:
        """Return the denoiser's prediction."""
        bare, own = self._bare, self._denoiser
        if bare.training != own.training:
            bare.train(own.training)
        if bare.is_gradient_checkpointing != own.is_gradient_checkpointing:
            act = "enable" if own.is_gradient_checkpointing else "disable"
            getattr(bare, f"{act}_gradient_checkpointing")()
        weights = {name: getattr(layer, last) for name, layer, last in self._places}
        return self._run(weights, inputs, options)

    def _computed(self, weights: dict[str, Tensor], inputs: Any, options: Any) -> Tensor:
        return torch.func.functional_call(self._bare, weights, inputs, options).sample
