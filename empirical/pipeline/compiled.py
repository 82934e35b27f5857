"""A denoiser that is compiled once for all adapters of a chain.

Each generation attaches an adapter, and `torch.compile` would compile the denoiser anew for each.
So only the bare architecture is compiled, with all weights as arguments: base and adapter are
combined outside.
"""

from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from empirical.pipeline.bare import Bare, Weights

_REGIONS = (ResnetBlock2D, Transformer2DModel)
# Of one function: the shapes of all regions of a large denoiser, in training and in sampling.
_COMPILATIONS = 256


def at_once(bare: Bare) -> Callable[..., Float[Tensor, "n z y x"]]:
    """Return a compiled function of weights and inputs."""

    def computed(weights: Weights, inputs: Any, options: Any) -> Float[Tensor, "n z y x"]:
        return bare(weights, *inputs, **options)

    run = torch.compile(computed)

    def call(weights: Weights, *inputs: Any, **options: Any) -> Float[Tensor, "n z y x"]:
        return run(weights, inputs, options)

    return call


def by_regions(bare: Bare) -> Callable[..., Float[Tensor, "n z y x"]]:
    """Return a function of weights and inputs whose blocks are compiled, equal ones only once.

    Compiling takes a fraction of the time of compiling the whole, and nearly all operations are in
    blocks. What is between them costs launches of kernels, which a recording saves.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _COMPILATIONS)
    compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}
    for layer in list(bare.module.modules()):
        if isinstance(layer, _REGIONS):
            structure = _structure(layer)
            if structure not in compiled:
                compiled[structure] = torch.compile(
                    partial(_region, deepcopy(layer)), dynamic=False
                )
            layer.forward = partial(_forward, layer, compiled[structure])
    return bare


def _structure(block: nn.Module) -> tuple[Any, ...]:
    """Return what two blocks have in common that compute the same function of their weights."""
    shapes = tuple((name, tuple(value.shape)) for name, value in block.named_parameters())
    settings = tuple(
        (name, key, value)
        for name, part in block.named_modules()
        for key, value in (("", type(part)), *sorted(vars(part).items()))
        if isinstance(value, int | float | str | tuple | type | None)
    )
    return shapes, settings


def _region(
    block: nn.Module, weights: dict[str, Shaped[Tensor, "..."]], inputs: Any, options: Any
) -> Any:
    return torch.func.functional_call(block, weights, inputs, options)


def _forward(layer: nn.Module, run: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    return run(dict(layer.named_parameters()), inputs, options)
