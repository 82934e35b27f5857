"""Low-rank adapters (LoRA) that are part of the weights while attached.

A weight W becomes W + B A, with B [out, r] and A [r, in] (Hu et al. 2021, arXiv 2106.09685; alpha
equals the rank). Written as a parametrisation of torch, one mechanism gives all that a chain needs:
one convolution instead of three in training, merged weights in sampling (`merged`), a list of
frozen adapters below the one that learns, and the base weights back bit for bit (`detach`). On
disk an adapter has the names of peft, which plain diffusers loads.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.utils import parametrize

from empirical.errors import UserError

WEIGHTS = "pytorch_lora_weights.safetensors"
# The settings of peft that a file contains: all others have their defaults, and many of them are
# unknown to earlier versions, which would refuse the file.
_DESCRIBED = ("r", "lora_alpha", "target_modules", "peft_type", "bias", "use_rslora")
PathOf = Callable[["Part"], Path]


@dataclass(frozen=True)
class Part:
    """A module that learns: its name in files, itself, and the ends of its layers' names."""

    name: str
    module: nn.Module
    targets: tuple[str, ...]


class LowRank(nn.Module):
    """W -> W + B A, for the weight of a linear layer or a convolution (A takes its window)."""

    def __init__(
        self,
        down: Float[Tensor, "rank inputs *window"],
        up: Float[Tensor, "outputs rank *ones"],
    ) -> None:
        super().__init__()
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(up)

    def forward(
        self, weight: Float[Tensor, "outputs inputs *window"]
    ) -> Float[Tensor, "outputs inputs *window"]:
        return weight + (self.up.flatten(1) @ self.down.flatten(1)).view_as(weight)


class Replacement(nn.Module):
    """W -> W', a whole new tensor: full finetuning that leaves the base where it is."""

    def __init__(self, value: Float[Tensor, "*shape"]) -> None:
        super().__init__()
        self.value = nn.Parameter(value)

    def forward(self, weight: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return self.value


class _Rounded(nn.Module):
    """W -> W in another precision."""

    def __init__(self, precision: torch.dtype) -> None:
        super().__init__()
        self.precision = precision

    def forward(self, weight: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return weight.to(self.precision)


@contextmanager
def merged(module: nn.Module, precision: torch.dtype = torch.float32) -> Iterator[None]:
    """Merge every weight of a module once instead of at every step, while nothing is trained.

    Its weights are rounded to the precision in which they are computed with.
    """
    with parametrize.cached(), rounded(module, precision):
        yield


@contextmanager
def rounded(module: nn.Module, precision: torch.dtype) -> Iterator[None]:
    """Round a module to another precision, while inside; what it learns stays as it is.

    Frozen parameters and buffers are rounded once, sums of a frozen weight and an adapter whenever
    they are computed. Gradients reach the adapter in its own precision.
    """
    if precision == torch.float32:
        yield
        return
    changed = [
        changes
        for layer in module.modules()
        if parametrize.is_parametrized(layer)
        for changes in layer.parametrizations.values()
    ]
    within = {id(part) for changes in changed for part in changes.modules()}
    frozen = [
        tensor
        for layer in module.modules()
        if id(layer) not in within
        for tensor in (*layer.parameters(recurse=False), *layer.buffers(recurse=False))
        if tensor.is_floating_point() and not tensor.requires_grad
    ]
    exact = [tensor.data for tensor in frozen]
    try:
        for tensor in frozen:
            tensor.data = tensor.data.to(precision)
        for changes in changed:
            changes.append(_Rounded(precision))
        yield
    finally:
        for changes in changed:
            if isinstance(changes[-1], _Rounded):
                changes.pop(-1)
        for tensor, before in zip(frozen, exact, strict=True):
            tensor.data = before


def layers(parts: Sequence[Part]) -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, layer) of every linear layer and convolution whose name ends as a target does.

    Raises `UserError` where a target names none.
    """
    for part in parts:
        matched: set[str] = set()
        for name, layer in part.module.named_modules():
            ends = [t for t in part.targets if name == t or name.endswith(f".{t}")]
            # A parametrised layer is a subclass of what it was.
            if ends and isinstance(layer, nn.Linear | nn.Conv2d):
                matched.update(ends)
                yield f"{part.name}.{name}", layer
        missing = [target for target in part.targets if target not in matched]
        if missing:
            raise UserError(
                f"'finetune.targets' names {missing[0]!r}, but no linear layer or convolution of "
                f"the model's {part.name} ends so"
            )


def attach(parts: Sequence[Part], rank: int, seed: int) -> dict[str, LowRank]:
    """Add an adapter that changes nothing yet, B = 0 and A ~ N(0, 1/r^2), and return its layers."""
    draw = torch.Generator().manual_seed(seed)
    adapter = {}
    for name, layer in list(layers(parts)):
        shape = layer.weight.shape
        down = torch.randn((rank, *shape[1:]), generator=draw) / rank
        up = torch.zeros((shape[0], rank, *(1 for _ in shape[2:])))
        adapter[name] = _add(layer, "weight", LowRank(down, up))
    return adapter


def attach_files(parts: Sequence[Part], paths: Sequence[Path]) -> None:
    """Add the sum of the adapters in files, frozen. Files are added in their order, always from
    the base weights, so that no rounding builds up over a chain."""
    contents = [read(path) for path in paths]
    targets = list(layers(parts))
    known = {f"{name}.lora_{x}.weight" for name, _ in targets for x in "AB"}
    for path, weights in zip(paths, contents, strict=True):
        if weights.keys() != known:
            odd = min(weights.keys() ^ known)
            raise UserError(f"the adapter '{path}' does not fit the model: it differs in '{odd}'")
    for name, layer in targets:
        # [B_1 B_2 ...] [A_1; A_2; ...] is the sum of all B A, and takes no more than the files do.
        down = torch.cat([weights[f"{name}.lora_A.weight"] for weights in contents])
        up = torch.cat([weights[f"{name}.lora_B.weight"] for weights in contents], dim=1)
        _add(layer, "weight", LowRank(down.float(), up.float()).requires_grad_(False))


def attach_full(parts: Sequence[Part], path_of: PathOf | None) -> dict[str, Replacement]:
    """Put new tensors in the place of all weights, equal to the base's or from a generation's
    files, and return them."""
    replaced = {}
    for part in parts:
        weights = read(path_of(part)) if path_of else None
        tensors = dict(part.module.named_parameters())
        if weights is not None and weights.keys() != tensors.keys():
            odd = min(weights.keys() ^ tensors.keys())
            raise UserError(
                f"the weights '{path_of(part)}' do not fit the model: they differ in '{odd}'"
            )
        for name, value in tensors.items():
            owner, _, last = name.rpartition(".")
            start = value.detach().clone() if weights is None else weights[name].to(value)
            layer = part.module.get_submodule(owner)
            replaced[f"{part.name}.{name}"] = _add(layer, last, Replacement(start))
    return replaced


def detach(parts: Sequence[Part]) -> None:
    """Remove everything attached, which restores the base weights bit for bit."""
    for part in parts:
        for layer in list(part.module.modules()):
            if parametrize.is_parametrized(layer):
                for name in list(layer.parametrizations):
                    parametrize.remove_parametrizations(layer, name, leave_parametrized=False)


def serialise(adapter: dict[str, LowRank], parts: Sequence[Part], rank: int) -> bytes:
    """Return an adapter as a safetensors file under the names of peft, with its settings."""
    # Diffusers has imported it with the model; reading adapters does not need it.
    from peft import LoraConfig

    # The names stay peft's: the converter of diffusers renames attention layers but not
    # convolutions, and its loader then drops every attention layer of the mixture without an error.
    weights = {}
    for name, pair in adapter.items():
        weights[f"{name}.lora_A.weight"] = pair.down.detach().cpu().contiguous()
        weights[f"{name}.lora_B.weight"] = pair.up.detach().cpu().contiguous()
    described = {}
    for part in parts:
        # Readers without the metadata take alpha to be the rank.
        config = LoraConfig(r=rank, lora_alpha=rank, target_modules=list(part.targets)).to_dict()
        config["target_modules"] = sorted(config["target_modules"])
        described |= {f"{part.name}.{key}": config[key] for key in _DESCRIBED}
    # One key only: safetensors writes several in an order that changes from process to process.
    metadata = {"lora_adapter_metadata": json.dumps(described, sort_keys=True)}
    return safetensors.torch.save(weights, metadata)


def kohya(path: Path) -> bytes:
    """Return an adapter file under the names that kohya's scripts and most interfaces read."""
    weights, ours = {}, read(path)
    two = any(name.startswith("text_encoder_2.") for name in ours)
    called = {
        "unet": "lora_unet",
        "text_encoder": "lora_te1" if two else "lora_te",
        "text_encoder_2": "lora_te2",
    }
    for name, value in ours.items():
        layer, matrix = name.removesuffix(".weight").rsplit(".lora_", 1)
        part, _, rest = layer.partition(".")
        if part != "unet" and not rest.startswith("text_model."):
            # So it was called when these names were made.
            rest = f"text_model.{rest}"
        key = f"{called[part]}_{rest.replace('.', '_')}"
        weights[f"{key}.lora_{'down' if matrix == 'A' else 'up'}.weight"] = value
        if matrix == "A":
            weights[f"{key}.alpha"] = torch.tensor(float(len(value)))
    return safetensors.torch.save(weights)


def read(path: Path) -> dict[str, Shaped[Tensor, "..."]]:
    """Read a safetensors file of weights; raise `UserError` where it is missing or damaged."""
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise UserError(f"the weights '{path}' are missing") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"the weights '{path}' are damaged: {error}") from error


def _add(layer: nn.Module, name: str, change: nn.Module) -> nn.Module:
    change.to(layer.weight.device)
    # The check would run the layer's shapes through the change once more.
    parametrize.register_parametrization(layer, name, change, unsafe=True)
    return change
