"""A denoiser that is compiled once for all adapters of a chain.

Each generation attaches an adapter, and `torch.compile` would compile the denoiser anew for each.
So only the bare architecture is compiled, with all weights as arguments: base and adapter are
combined outside.
"""

from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from empirical.pipeline import winograd


class CompiledDenoiser:
    """A compiled denoiser of diffusers, with its current weights and settings at each call."""

    def __init__(self, denoiser: nn.Module) -> None:
        self._denoiser = denoiser
        with torch.device("meta"):
            self._bare = type(denoiser).from_config(denoiser.config)
        self._bare.set_attn_processor(dict(denoiser.attn_processors))
        if winograd.is_used(denoiser):
            winograd.use(self._bare)
        # A parametrization changes its layer in place: the layers stay the same objects.
        self._places = []
        for name, _ in (*self._bare.named_parameters(), *self._bare.named_buffers()):
            owner, _, last = name.rpartition(".")
            self._places.append((name, denoiser.get_submodule(owner), last))
        self._run = torch.compile(self._computed)

    def __call__(self, *inputs: Any, **options: Any) -> Float[Tensor, "n z y x"]:
        """Return the denoiser's prediction."""
        bare, denoiser = self._bare, self._denoiser
        if bare.training != denoiser.training:
            bare.train(denoiser.training)
        if bare.is_gradient_checkpointing != denoiser.is_gradient_checkpointing:
            act = "enable" if denoiser.is_gradient_checkpointing else "disable"
            getattr(bare, f"{act}_gradient_checkpointing")()
        weights = {name: getattr(layer, last) for name, layer, last in self._places}
        return self._run(weights, inputs, options)

    def _computed(
        self, weights: dict[str, Shaped[Tensor, "..."]], inputs: Any, options: Any
    ) -> Float[Tensor, "n z y x"]:
        return torch.func.functional_call(self._bare, weights, inputs, options).sample
