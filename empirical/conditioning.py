"""Text embeddings: the conditioning of a denoiser."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Conditioning:
    """The text embeddings of n prompts, by which a denoiser is conditioned.

    `hidden` [n, tokens, width] is the input of cross-attention. `pooled` [n, p] is one vector a
    prompt, where the denoiser takes one too (Stable Diffusion XL), or None.
    """

    hidden: Float[Tensor, "n tokens width"]
    pooled: Float[Tensor, "n p"] | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.hidden)

    def __getitem__(self, index: Shaped[Tensor, " m"] | slice | Sequence[int]) -> "Conditioning":
        """Return the prompts of `index`, in its order."""
        pooled = None if self.pooled is None else self.pooled[index]
        return Conditioning(self.hidden[index], pooled)

    def expand(self, count: int) -> "Conditioning":
        """Repeat one prompt `count` times, without a copy."""
        pooled = None if self.pooled is None else self.pooled.expand(count, -1)
        return Conditioning(self.hidden.expand(count, -1, -1), pooled)

    def with_zeros(self, index: int) -> "Conditioning":
        """Return the same prompts with zeros in place of one."""
        kept = torch.ones(len(self), device=self.hidden.device)
        kept[index] = 0
        pooled = None if self.pooled is None else self.pooled * kept[:, None]
        return Conditioning(self.hidden * kept[:, None, None], pooled)

    @staticmethod
    def cat(parts: Sequence["Conditioning"]) -> "Conditioning":
        """Concatenate prompts; all parts have pooled vectors, or none has."""
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return Conditioning(
            torch.cat([part.hidden for part in parts]), torch.cat(pooled) if pooled else None
        )
