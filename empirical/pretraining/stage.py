"""One stage of a training: optimised step by step, with checkpoints from which it resumes."""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from empirical.embedded import Captioned
from empirical.pipeline.model import device_of_choice
from empirical.progress import Progress

_CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Training:
    """A training that can be resumed: its seed, the folder of its checkpoints, its progress."""

    seed: int
    checkpoints: Path
    progress: Progress


def pixels(images: Captioned) -> Float[Tensor, "n c h w"]:
    """Return images as autoencoders and contrastive models take them, from -1 to 1."""
    return torch.from_numpy(images.images.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


def optimise(
    name: str,
    model: nn.Module,
    loss_at: Callable[[int], Float[Tensor, ""]],
    steps: int,
    rate: float,
    work: int,
    training: Training,
) -> None:
    """Train a model in place by AdamW, warm-up and cosine decay; leave its averaged weights.

    `loss_at(step)` draws all that is random from the step, so that an interrupted training ends
    with the same weights. The checkpoint is ``NAME.pt``; a step counts as `work` for the progress.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01)
    average = deepcopy(model).requires_grad_(False)
    path, first = training.checkpoints / f"{name}.pt", 0
    if path.exists():
        state = torch.load(path, weights_only=True, map_location=device_of_choice())
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    training.progress(first * work)
    saved = time.monotonic()
    for step in range(first, steps):
        decayed = 0.5 * (1 + math.cos(math.pi * step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 200) * decayed
        loss = loss_at(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        keep = min(0.999, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)
        training.progress(work)
        if step + 1 == steps or time.monotonic() - saved > _CHECKPOINT_SECONDS:
            state = {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizer": optimizer.state_dict(),
                "step": step + 1,
            }
            torch.save(state, path.with_suffix(".part"))
            path.with_suffix(".part").replace(path)
            saved = time.monotonic()
    model.load_state_dict(average.state_dict())
    model.eval().requires_grad_(False)
