"""The weights that a generation learns: a low-rank adapter, or all; in the model and on disk.

Both are parametrizations of the base weights, changed by an optimiser and written under names that
diffusers reads.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from torch import nn

from empirical import files
from empirical.pipeline import adapters
from empirical.pipeline.adapters import Part
from empirical.pipeline.model import Model
from empirical.recipe import FinetuneTable

_TEXT_TARGETS = ("q_proj", "k_proj", "v_proj", "out_proj")
_LORA = Path("lora") / adapters.WEIGHTS


@dataclass(frozen=True)
class Weights:
    """The trainable weights, and how they are written."""

    parts: tuple[Part, ...]
    table: FinetuneTable
    changes: dict[str, nn.Module]

    @property
    def weights(self) -> dict[str, nn.Parameter]:
        """Every trainable tensor by a unique name."""
        return {
            f"{name}.{last}": weight
            for name, change in self.changes.items()
            for last, weight in change.named_parameters()
        }

    def save(self, folder: Path) -> None:
        """Write the weights below a generation's folder."""
        if self.table.method == "lora":
            content = adapters.serialise(self.changes, self.parts, self.table.rank)
            files.write_bytes(folder / _LORA, content)
            return
        for part in self.parts:
            tensors = {
                name.removeprefix(f"{part.name}."): change.value.detach().cpu().contiguous()
                for name, change in self.changes.items()
                if name.startswith(f"{part.name}.")
            }
            described = part.module if part.name == "unet" else part.module.config
            config = json.loads(described.to_json_string())
            files.write_json(folder / part.name / "config.json", config)
            content = safetensors.torch.save(tensors, {"format": "pt"})
            files.write_bytes(_full(folder, part), content)


def begin(model: Model, table: FinetuneTable, seed: int, previous: Sequence[Path]) -> Weights:
    """Attach new trainable weights to the base, or to the weights of earlier generations."""
    parts = _parts(model, table)
    adapters.detach(parts)
    if table.method == "full":
        start = (lambda part: _full(previous[-1], part)) if previous else None
        return Weights(parts, table, dict(adapters.attach_full(parts, start)))
    if previous:
        adapters.attach_files(parts, [folder / _LORA for folder in previous])
    return Weights(parts, table, dict(adapters.attach(parts, table.rank, seed)))


def is_saved(model: Model, table: FinetuneTable, folder: Path) -> bool:
    """Return whether a generation's weights are all on disk."""
    return all(path.is_file() for path in paths(model, table, folder))


def paths(model: Model, table: FinetuneTable, folder: Path) -> list[Path]:
    """Return the files of a generation's weights."""
    if table.method == "lora":
        return [folder / _LORA]
    return [_full(folder, part) for part in _parts(model, table)]


def size(model: Model, table: FinetuneTable) -> int:
    """Return the size of a generation's weights on disk, in bytes."""
    if table.method == "full":
        count = sum(p.numel() for part in _parts(model, table) for p in part.module.parameters())
        return 4 * count
    shapes = [layer.weight.shape for _, layer in adapters.layers(_parts(model, table))]
    return sum(4 * table.rank * (shape[0] + shape.numel() // shape[0]) for shape in shapes)


def load(model: Model, table: FinetuneTable, folders: Sequence[Path]) -> None:
    """Load the weights of generations, the oldest first, into the model, frozen."""
    parts = _parts(model, table)
    adapters.detach(parts)
    if not folders:
        return
    if table.method == "full":
        adapters.attach_full(parts, lambda part: _full(folders[-1], part))
    else:
        adapters.attach_files(parts, [folder / _LORA for folder in folders])


def unload(model: Model) -> None:
    """Remove all learnt weights from the model: the base is restored, bit for bit."""
    everything = [("unet", model.unet), *_text_encoders(model)]
    adapters.detach([Part(name, module, ()) for name, module in everything])


def mode(model: Model, table: FinetuneTable, training: bool) -> None:
    """Set the parts that learn to training or to evaluation."""
    for part in _parts(model, table):
        part.module.train(training)
        if table.gradient_checkpointing and part.name == "unet":
            act = "enable" if training else "disable"
            getattr(part.module, f"{act}_gradient_checkpointing")()


def _parts(model: Model, table: FinetuneTable) -> tuple[Part, ...]:
    learns = [Part("unet", model.unet, tuple(table.targets))]
    if table.text_encoder:
        learns += [Part(name, encoder, _TEXT_TARGETS) for name, encoder in _text_encoders(model)]
    return tuple(learns)


def _text_encoders(model: Model) -> list[tuple[str, nn.Module]]:
    names = ("text_encoder", "text_encoder_2")
    return list(zip(names, model.text_encoders, strict=False))


def _full(folder: Path, part: Part) -> Path:
    name = "diffusion_pytorch_model" if part.name == "unet" else "model"
    return folder / part.name / f"{name}.safetensors"
