"""A denoiser that only draws: weights merged, rounded and at rest on a GPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Float32, Shaped
from torch import Tensor

from empirical.pipeline.bare import Bare
from empirical.pipeline.replay import Recorder, Replayed

# Further inputs of a denoiser of Stable Diffusion XL.
ADDED = ("text_embeds", "time_ids")


_Weights = dict[str, Shaped[Tensor, "..."]]


class Still:
    """A denoiser with a copy of its weights that stays at the same place for a whole chain.

    So its work can be recorded once for all generations: `held` copies the current weights.
    """

    def __init__(
        self,
        bare: Bare,
        compute: Callable[..., Float[Tensor, "n z y x"]],
        precision: torch.dtype,
        recorder: Recorder,
    ) -> None:
        self._bare, self._compute, self._precision = bare, compute, precision
        self._weights: _Weights = {}
        self._replayed = Replayed(self._denoise, recorder)
        self.is_held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Take the denoiser's weights as they are now; they must not change inside."""
        with torch.no_grad():
            for name, weight in self._bare.merged():
                if name not in self._weights:
                    self._weights[name] = weight.to(self._precision, copy=True)
                else:
                    self._weights[name].copy_(weight)
        self._bare.follow()
        self.is_held = True
        try:
            yield
        finally:
            self.is_held = False

    def __call__(self, *inputs: Shaped[Tensor, "..."]) -> Float32[Tensor, "n z y x"]:
        """Return the prediction for latents, timesteps, hidden states and, for XL, `ADDED`."""
        return self._replayed(*inputs)[0]

    def _denoise(
        self,
        latents: Float[Tensor, "n z y x"],
        timesteps: Shaped[Tensor, "..."],
        hidden: Float[Tensor, "n tokens width"],
        *added: Float[Tensor, "n _"],
    ) -> tuple[Float32[Tensor, "n z y x"]]:
        further = dict(zip(ADDED, added, strict=True)) if added else None
        predicted = self._compute(
            self._weights, latents, timesteps, hidden, added_cond_kwargs=further
        )
        return (predicted.float(),)
