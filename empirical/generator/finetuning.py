"""Finetuning: the model learns the images of one generation."""

import io
import math
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler
from jaxtyping import Bool, Float, Int
from torch import Tensor

from empirical import files, processes
from empirical.conditioning import Conditioning
from empirical.data.real_images import Population
from empirical.errors import UserError
from empirical.generator import trainable
from empirical.generator.training_step import TrainingStep
from empirical.out_of_memory import is_out_of_memory
from empirical.pipeline import adapters
from empirical.pipeline.model import Model
from empirical.progress import Progress, silent
from empirical.recipe import FinetuneTable
from empirical.seeds import seed_of

_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class _Visits:
    """The order of visits: every image once, in random order, then once again, ..."""

    size: int
    seed: int
    generation: int

    def batch(self, step: int, batch_size: int) -> list[tuple[int, int]]:
        """Return (image, visit) for one step; visit v of an image is its v-th, from 0."""
        places = range(step * batch_size, (step + 1) * batch_size)
        orders = {visit: self._order(visit) for visit in {p // self.size for p in places}}
        return [(int(orders[p // self.size][p % self.size]), p // self.size) for p in places]

    def _order(self, visit: int) -> Int[np.ndarray, " size"]:
        seed = seed_of("order", self.seed, self.generation, visit)
        return np.random.default_rng(seed).permutation(self.size)


@dataclass(frozen=True)
class _Examples:
    """The training set of a generation, encoded once, and the noise of each visit of an image."""

    seed: int
    generation: int
    schedule: DDPMScheduler
    mean: Float[Tensor, "n z y x"]
    std: Float[Tensor, "n z y x"]
    drop: float

    def draw(
        self, visits: Sequence[tuple[int, int]]
    ) -> tuple[
        Float[Tensor, "b z y x"], Float[Tensor, "b z y x"], Int[Tensor, " b"], Bool[Tensor, " b"]
    ]:
        """Return noisy latents, prediction targets, timesteps, and which captions are dropped."""
        drawn = [self._draw(image, visit) for image, visit in visits]
        posterior, noise = (torch.stack([d[i] for d in drawn]) for i in (0, 1))
        timesteps = torch.tensor([d[2] for d in drawn])
        dropped = torch.tensor([d[3] < self.drop for d in drawn])
        index = torch.tensor([image for image, _ in visits])
        latents = self.mean[index] + self.std[index] * posterior
        noisy = self.schedule.add_noise(latents, noise, timesteps)
        return noisy, self._target(latents, noise, timesteps), timesteps, dropped

    def _draw(
        self, image: int, visit: int
    ) -> tuple[Float[Tensor, "z y x"], Float[Tensor, "z y x"], int, float]:
        """Return a visit's posterior noise, diffusion noise, timestep, and uniform for the drop."""
        seed = seed_of("visit", self.seed, self.generation, image, visit)
        generator = torch.Generator().manual_seed(seed)
        posterior, noise = torch.randn((2, *self.mean.shape[1:]), generator=generator)
        steps = self.schedule.config.num_train_timesteps
        time = int(torch.randint(steps, (1,), generator=generator))
        return posterior, noise, time, float(torch.rand(1, generator=generator))

    def _target(
        self,
        latents: Float[Tensor, "b z y x"],
        noise: Float[Tensor, "b z y x"],
        timesteps: Int[Tensor, " b"],
    ) -> Float[Tensor, "b z y x"]:
        match self.schedule.config.prediction_type:
            case "v_prediction":
                return self.schedule.get_velocity(latents, noise, timesteps)
            case "sample":
                return latents
            case _:
                return noise


def finetune(
    model: Model,
    population: Population,
    table: FinetuneTable,
    seed: int,
    generation: int,
    folder: Path,
    previous: Sequence[Path] = (),
    latent_noise: float = 0.0,
    progress: Progress = silent,
) -> None:
    """Train on a population and write the weights and ``loss.csv`` below `folder`.

    The denoiser learns the target of its scheduler (noise, velocity or the image) at uniform
    timesteps; with probability `condition_drop` a visit has the null embedding in place of its
    caption's. Latents and embeddings are encoded once, embeddings at each step where the text
    encoder learns too. Every draw is keyed by (seed, generation, image, visit). An interrupted
    training is resumed from its last checkpoint and ends with the same weights.

    `previous` are the folders of earlier generations to start from, the oldest first; without them
    it starts from the base. `latent_noise` is the standard deviation of the noise that each image's
    latents get once, keyed by (seed, generation, image). `progress` is called with the number of
    images seen, three times each: a step costs about three passes of the denoiser.

    Afterwards the model has the new weights. Raises `UserError` when the loss is no longer a
    number.
    """
    checkpoint = folder / ".checkpoint.pt"
    if trainable.is_saved(model, table, folder):
        checkpoint.unlink(missing_ok=True)
        progress(3 * table.steps * table.batch_size)
        trainable.load(model, table, [*previous, folder])
        return
    trained = trainable.begin(model, table, seed_of("lora", seed, generation), previous)
    taken = TrainingStep(model, list(trained.weights.values()), table)
    losses = _restore(checkpoint, trained.weights, taken.optimizer, model)
    progress(3 * len(losses) * table.batch_size)

    mean, std = model.encode(population.images)
    if latent_noise:
        mean = mean + latent_noise * _noise_of_images(mean, seed, generation)
    schedule = DDPMScheduler.from_config(model.pipeline.scheduler.config)
    examples = _Examples(seed, generation, schedule, mean, std, table.condition_drop)
    captions = _Captions(model, population.captions, table.text_encoder)
    visits = _Visits(len(population), seed, generation)
    trainable.mode(model, table, training=True)
    saved = time.monotonic()
    with adapters.rounded(model.unet, model.precision):
        for step in range(len(losses), table.steps):
            batch = processes.mine(visits.batch(step, table.batch_size))
            for part in _split(batch, table.micro_batches):
                noisy, target, timesteps, dropped = examples.draw(part)
                conditioning = captions.embeddings([image for image, _ in part], dropped)
                taken.add(noisy, target, timesteps, conditioning)
            taken.finish()
            checkpoint_is_due = (
                processes.is_main() and time.monotonic() - saved > _CHECKPOINT_SECONDS
            )
            if not (taken.is_due or checkpoint_is_due or step == table.steps - 1):
                continue
            before = len(losses)
            for loss, norm in taken.read():
                _require_finite(loss, norm, generation, len(losses), table, model)
                losses.append((loss, norm))
            progress(3 * table.batch_size * (len(losses) - before))
            if checkpoint_is_due:
                _save_checkpoint(checkpoint, trained.weights, taken.optimizer, losses)
                saved = time.monotonic()
    trainable.mode(model, table, training=False)
    if processes.is_main():
        rows = "".join(f"{i},{loss!r},{norm!r}\n" for i, (loss, norm) in enumerate(losses))
        files.write_text(folder / "loss.csv", "step,loss,gradient_norm\n" + rows)
        trained.save(folder)
        checkpoint.unlink(missing_ok=True)
    processes.wait()
    # As in a resumed chain: sums of weights depend on their order.
    trainable.load(model, table, [*previous, folder])


class _Captions:
    """The embeddings of a population's captions, encoded once or, if they learn, at every step."""

    def __init__(self, model: Model, captions: Sequence[str], learns: bool) -> None:
        self._model = model
        self._unique = ["", *dict.fromkeys(captions)]
        place = {caption: i for i, caption in enumerate(self._unique)}
        self._place = torch.tensor([place[caption] for caption in captions])
        self._encoded: Conditioning | None = None
        if not learns:
            with torch.no_grad():
                self._encoded = model.embed(self._unique)

    def embeddings(self, images: list[int], dropped: Bool[Tensor, " b"]) -> Conditioning:
        """Return a row for each image, the null embedding where its caption is dropped."""
        places = torch.where(dropped, 0, self._place[images])
        if self._encoded is not None:
            return self._encoded[self._model.send(places)]
        return self._model.embed([self._unique[place] for place in places.tolist()])


def _noise_of_images(
    latents: Float[Tensor, "n z y x"], seed: int, generation: int
) -> Float[Tensor, "n z y x"]:
    keys = [seed_of("latent noise", seed, generation, image) for image in range(len(latents))]
    draws = (torch.Generator().manual_seed(key) for key in keys)
    return torch.stack([torch.randn(latents.shape[1:], generator=draw) for draw in draws])


def _split(batch: list[tuple[int, int]], parts: int) -> list[list[tuple[int, int]]]:
    if not batch:
        return []
    size = -(-len(batch) // parts)
    return [batch[i : i + size] for i in range(0, len(batch), size)]


def _require_finite(
    loss: float,
    norm: float,
    generation: int,
    step: int,
    table: FinetuneTable,
    model: Model,
) -> None:
    if math.isfinite(loss) and math.isfinite(norm):
        return
    became = f"the loss of generation {generation} became {loss} (gradient norm {norm})"
    precision = str(model.precision).removeprefix("torch.")
    if step == 0:
        # No weight has changed yet, so the learning rate is not the cause.
        remedy = f"set 'model.precision' (now '{precision}') to 'float32'"
        if precision == "float32":
            remedy = "check the model's weights, which overflow with these images"
        raise UserError(f"{became} at its first step, before any weight changed: {remedy}")
    exact = ""
    if precision != "float32":
        exact = f", or set 'model.precision' (now '{precision}') to 'float32'"
    raise UserError(
        f"{became} at step {step}: lower 'finetune.learning_rate' (now {table.learning_rate:g}) or "
        f"raise 'finetune.batch_size' (now {table.batch_size}){exact}, and start a new run"
    )


def _save_checkpoint(
    path: Path,
    weights: dict[str, Float[Tensor, "..."]],
    optimizer: torch.optim.Optimizer,
    losses: list[tuple[float, float]],
) -> None:
    state = {
        "weights": {name: weight.detach() for name, weight in weights.items()},
        "optimizer": optimizer.state_dict(),
        "losses": losses,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    files.write_bytes(path, buffer.getvalue())


def _restore(
    path: Path,
    weights: dict[str, Float[Tensor, "..."]],
    optimizer: torch.optim.Optimizer,
    model: Model,
) -> list[tuple[float, float]]:
    if not path.is_file():
        return []
    try:
        state = torch.load(path, weights_only=True, map_location=model.device)
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(state["weights"][name])
        optimizer.load_state_dict(state["optimizer"])
        return [(loss, norm) for loss, norm in state["losses"]]
    except (pickle.UnpicklingError, RuntimeError, KeyError, ValueError, EOFError, OSError) as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"the checkpoint '{path}' is damaged: delete it to train this generation from the start"
        ) from error
