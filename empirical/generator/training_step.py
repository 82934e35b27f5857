"""A step of finetuning: the gradients of a batch, in parts, and the update of the weights."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from empirical import processes
from empirical.conditioning import Conditioning
from empirical.pipeline.model import Model
from empirical.pipeline.replay import Replayed
from empirical.recipe import FinetuneTable

# Steps whose losses are read from a GPU at once: reading waits for all its queued work.
_READ_AT_ONCE = 16


class TrainingStep:
    """The mean squared error of a batch lowered by AdamW, with gradients clipped to length 1.

    On a GPU, where the denoiser alone learns, both halves of a step are recorded and replayed, and
    nothing waits for the GPU until losses are read.
    """

    def __init__(self, model: Model, weights: Sequence[nn.Parameter], table: FinetuneTable) -> None:
        self._model, self._weights, self._table = model, list(weights), table
        self.optimizer = torch.optim.AdamW(
            self._weights,
            lr=table.learning_rate,
            weight_decay=1e-2,
            fused=True,
            capturable=model.device.type == "cuda",
        )
        # Checkpointing restores random states, text encoders get their words from Python, and
        # comparing a recording with the plain step would take twice all weights.
        self._is_recorded = model.recorder is not None and not (
            table.gradient_checkpointing or table.text_encoder or table.method == "full"
        )
        self._add, self._apply = self._add_gradients, self._update
        if self._is_recorded:
            self._add = Replayed(self._add_gradients, model.recorder, self._sums)
            self._apply = Replayed(self._update, model.recorder, self._everything)
        self._loss = torch.zeros((), device=model.device)
        self._has_images = False
        self._unread: list[Float[Tensor, " 2"]] = []

    def add(
        self,
        noisy: Float[Tensor, "n z y x"],
        target: Float[Tensor, "n z y x"],
        timesteps: Int[Tensor, " n"],
        conditioning: Conditioning,
    ) -> None:
        """Add the gradients of a part of the batch; all but the conditioning may lie anywhere."""
        self._has_images = True
        send, layout = self._model.send, self._model.layout
        pooled = () if conditioning.pooled is None else (conditioning.pooled,)
        self._add(
            send(noisy.contiguous(memory_format=layout)),
            send(target),
            send(timesteps),
            conditioning.hidden,
            *pooled,
        )

    def finish(self) -> None:
        """Add up the gradients of all processes, and change the weights."""
        if not self._has_images:
            # More processes than images of a batch: this one adds nothing.
            for weight in self._weights:
                if weight.grad is None:
                    weight.grad = torch.zeros_like(weight)
        self._has_images = False
        processes.add_up([self._loss, *(weight.grad for weight in self._weights)])
        self._unread.append(self._apply()[0])

    @property
    def is_due(self) -> bool:
        """Whether losses should be read: at once on a processor, now and then on a GPU."""
        return len(self._unread) >= (_READ_AT_ONCE if self._is_recorded else 1)

    def read(self) -> list[tuple[float, float]]:
        """Return (loss, length of the gradient) of every step since the last reading."""
        values = torch.stack(self._unread).tolist() if self._unread else []
        self._unread.clear()
        return [(loss, norm) for loss, norm in values]

    def _add_gradients(
        self,
        noisy: Float[Tensor, "n z y x"],
        target: Float[Tensor, "n z y x"],
        timesteps: Int[Tensor, " n"],
        hidden: Float[Tensor, "n tokens width"],
        *pooled: Float[Tensor, "n p"],
    ) -> tuple[()]:
        predicted = self._model.denoise(noisy, timesteps, Conditioning(hidden, *pooled))
        # The mean over the whole batch, wherever its images are.
        fraction = len(noisy) / self._table.batch_size
        error = functional.mse_loss(predicted, target) * fraction
        error.backward()
        self._loss += error.detach()
        return ()

    def _sums(self) -> list[Float[Tensor, "..."]]:
        return [self._loss, *(w.grad for w in self._weights if w.grad is not None)]

    def _everything(self) -> list[Float[Tensor, "..."]]:
        moments = [part for state in self.optimizer.state.values() for part in state.values()]
        return [*self._sums(), *self._weights, *moments]

    def _update(self) -> tuple[Float[Tensor, " 2"]]:
        norm = torch.nn.utils.clip_grad_norm_(self._weights, 1.0)
        self.optimizer.step()
        # A recording needs gradients to stay at their place.
        self.optimizer.zero_grad(set_to_none=not self._is_recorded)
        measured = torch.stack([self._loss, norm])
        self._loss.zero_()
        return (measured,)
