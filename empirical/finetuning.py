"""Finetuning: a low-rank adapter (LoRA) of the denoiser learns the images of one generation."""

import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from diffusers import DDPMScheduler
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from torch.nn import functional as F

from empirical import files
from empirical.data import Population
from empirical.errors import UserError
from empirical.model import Model
from empirical.recipe import FinetuneTable
from empirical.seeds import seed_of

WEIGHTS = "pytorch_lora_weights.safetensors"
_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2")
_ADAPTER = "chain"
_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class _Visits:
    """Which image is visited when: every image once, in random order, then once again, ..."""

    size: int
    seed: int
    generation: int

    def batch(self, step: int, batch_size: int) -> list[tuple[int, int]]:
        """Return (image, visit) for one step; visit v of an image is its v-th, from 0."""
        places = range(step * batch_size, (step + 1) * batch_size)
        orders = {visit: self._order(visit) for visit in {p // self.size for p in places}}
        return [(int(orders[p // self.size][p % self.size]), p // self.size) for p in places]

    def _order(self, visit: int) -> np.ndarray:
        seed = seed_of("order", self.seed, self.generation, visit)
        return np.random.default_rng(seed).permutation(self.size)


def finetune(
    model: Model,
    population: Population,
    table: FinetuneTable,
    seed: int,
    generation: int,
    folder: Path,
    previous: Path | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> None:
    """Train an adapter on a population and write ``lora/`` and ``loss.csv`` below `folder`.

    The denoiser learns to predict what its scheduler says (noise or velocity) at uniform noise
    levels; with probability `condition_drop` a visit sees the null embedding in place of its
    caption. Latents and embeddings are encoded once. Every draw is keyed by (seed, generation,
    image, visit). An interrupted training goes on from its last checkpoint and ends with the same
    weights. `previous`, where given, is the adapter file to start from. `advance` is told the
    images seen, three times each: a step costs about three passes of the denoiser.

    Afterwards the adapter is in the model; `attach` puts one there from disk.
    Raises `UserError` when the loss is no longer a number.
    """
    checkpoint = folder / "lora" / ".checkpoint.pt"
    if (folder / "lora" / WEIGHTS).is_file():
        checkpoint.unlink(missing_ok=True)
        advance(3 * table.steps * table.batch_size)
        attach(model, table.rank, folder / "lora" / WEIGHTS)
        return
    config = _add_adapter(model, table.rank, seed_of("lora", seed, generation))
    if previous is not None:
        _load(model, previous)
    unet = model.pipeline.unet
    weights = [p for p in unet.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=table.learning_rate, weight_decay=1e-2)
    losses = _restore(checkpoint, model, optimizer)
    advance(3 * len(losses) * table.batch_size)

    schedule = DDPMScheduler.from_config(model.pipeline.scheduler.config)
    mean, deviation = model.encode(population.images)
    embeddings = model.embed(["", *dict.fromkeys(population.captions)])
    place = {c: i for i, c in enumerate(dict.fromkeys(population.captions), start=1)}
    caption = torch.tensor([place[c] for c in population.captions])
    visits = _Visits(len(population), seed, generation)
    unet.train()
    saved = time.monotonic()
    for step in range(len(losses), table.steps):
        batch = visits.batch(step, table.batch_size)
        index = torch.tensor([image for image, _ in batch])
        draws = [
            _draw(seed, generation, image, visit, mean.shape[1:], schedule)
            for image, visit in batch
        ]
        posterior, noise = (torch.stack([d[i] for d in draws]) for i in (0, 1))
        times = torch.tensor([d[2] for d in draws])
        dropped = torch.tensor([d[3] < table.condition_drop for d in draws])
        latents = mean[index] + deviation[index] * posterior
        noisy = schedule.add_noise(latents, noise, times)
        told = embeddings[torch.where(dropped, 0, caption[index]).to(model.device)]
        target = _target(schedule, latents, noise, times).to(model.device)
        predicted = unet(
            noisy.to(model.device, memory_format=torch.channels_last), times.to(model.device), told
        ).sample
        loss = F.mse_loss(predicted, target)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(weights, 1.0)
        _must_be_finite(loss, norm, generation, step, table)
        optimizer.step()
        losses.append((loss.item(), norm.item()))
        advance(3 * table.batch_size)
        if time.monotonic() - saved > _CHECKPOINT_SECONDS:
            _save_checkpoint(checkpoint, model, optimizer, losses)
            saved = time.monotonic()
    unet.eval()
    rows = "".join(f"{i},{loss!r},{norm!r}\n" for i, (loss, norm) in enumerate(losses))
    files.write_text(folder / "loss.csv", "step,loss,gradient_norm\n" + rows)
    files.write_bytes(folder / "lora" / WEIGHTS, _serialise(model, config))
    checkpoint.unlink(missing_ok=True)


def attach(model: Model, rank: int, path: Path) -> None:
    """Put the adapter of a file into the model, in place of any other."""
    _add_adapter(model, rank, seed=0)
    _load(model, path)
    model.pipeline.unet.eval()


def detach(model: Model) -> None:
    """Take the adapter out of the model: the base model is back, bit for bit."""
    if _ADAPTER in getattr(model.pipeline.unet, "peft_config", {}):
        model.pipeline.unet.delete_adapters(_ADAPTER)


def _add_adapter(model: Model, rank: int, seed: int) -> LoraConfig:
    detach(model)
    config = LoraConfig(
        r=rank,
        # Readers without the metadata take alpha to be the rank.
        lora_alpha=rank,
        init_lora_weights="gaussian",
        target_modules=list(_TARGETS),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model.pipeline.unet.add_adapter(config, adapter_name=_ADAPTER)
    return config


def _draw(
    seed: int, generation: int, image: int, visit: int, shape: torch.Size, schedule: DDPMScheduler
) -> tuple[Tensor, Tensor, int, float]:
    """Return a visit's posterior noise, diffusion noise, timestep, and number for the drop."""
    generator = torch.Generator().manual_seed(seed_of("visit", seed, generation, image, visit))
    posterior, noise = torch.randn((2, *shape), generator=generator)
    steps = schedule.config.num_train_timesteps
    time = int(torch.randint(steps, (1,), generator=generator))
    return posterior, noise, time, float(torch.rand(1, generator=generator))


def _target(schedule: DDPMScheduler, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    match schedule.config.prediction_type:
        case "v_prediction":
            return schedule.get_velocity(latents, noise, times)
        case "sample":
            return latents
        case _:
            return noise


def _must_be_finite(
    loss: Tensor, norm: Tensor, generation: int, step: int, table: FinetuneTable
) -> None:
    if torch.isfinite(loss) and torch.isfinite(norm):
        return
    raise UserError(
        f"the loss of generation {generation} became {loss.item()} (gradient norm {norm.item()}) "
        f"at step {step}: lower 'finetune.learning_rate' (now {table.learning_rate:g}) or raise "
        f"'finetune.batch_size' (now {table.batch_size}), and start a new run"
    )


def _serialise(model: Model, config: LoraConfig) -> bytes:
    layers = get_peft_model_state_dict(model.pipeline.unet, adapter_name=_ADAPTER)
    # The names stay peft's: the converter of diffusers renames attention layers but not
    # convolutions, and its loader then drops every attention layer of the mixture without an error.
    layers = {f"unet.{name}": value.detach().cpu().contiguous() for name, value in layers.items()}
    plain = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
    described = {f"unet.{name}": value for name, value in plain.items() if value is not None}
    # One key only: safetensors writes several in an order that changes from process to process.
    metadata = {"lora_adapter_metadata": json.dumps(described, sort_keys=True, default=str)}
    return safetensors.torch.save(layers, metadata)


def _load(model: Model, path: Path) -> None:
    layers = {k.removeprefix("unet."): v for k, v in safetensors.torch.load_file(path).items()}
    wanted = get_peft_model_state_dict(model.pipeline.unet, adapter_name=_ADAPTER).keys()
    if layers.keys() != wanted:
        odd = min(layers.keys() ^ wanted)
        raise UserError(f"the adapter '{path}' does not fit the model: it differs in '{odd}'")
    set_peft_model_state_dict(model.pipeline.unet, layers, adapter_name=_ADAPTER)


def _save_checkpoint(
    path: Path, model: Model, optimizer: torch.optim.Optimizer, losses: list[tuple[float, float]]
) -> None:
    state = {
        "adapter": get_peft_model_state_dict(model.pipeline.unet, adapter_name=_ADAPTER),
        "optimizer": optimizer.state_dict(),
        "losses": losses,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    files.write_bytes(path, buffer.getvalue())


def _restore(
    path: Path, model: Model, optimizer: torch.optim.Optimizer
) -> list[tuple[float, float]]:
    if not path.is_file():
        return []
    state = torch.load(path, weights_only=True, map_location=model.device)
    set_peft_model_state_dict(model.pipeline.unet, state["adapter"], adapter_name=_ADAPTER)
    optimizer.load_state_dict(state["optimizer"])
    return [(loss, norm) for loss, norm in state["losses"]]
