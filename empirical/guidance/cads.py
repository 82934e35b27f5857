"""Condition-annealed sampling (CADS): noise on the prompt, annealed while sampling."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from empirical.guidance._base import Fraction, GuidanceRule, Levels, Scale, refused
from empirical.seeds import seed_of

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from empirical.conditioning import Conditioning


class CADS(GuidanceRule):
    """Constant guidance with noise on the prompt embedding y at high noise levels.

    With t = 1 - progress, from 1 at pure noise to 0, and fresh normal noise n at every evaluation:

        g(t) = 1 up to t = tau1, 0 from tau2 on, (tau2 - t) / (tau2 - tau1) between
        y' = sqrt(g) y + noise sqrt(1 - g) n
        y'' = (y' - mean y') std y / std y' + mean y
        conditioning of the denoiser: mixing y'' + (1 - mixing) y'

    Means and stds are over one prompt's entire embedding; the null embedding is unchanged.
    The noise is keyed by the image's seed and the visit. A pooled embedding is treated likewise.
    Sadat et al. 2023, arXiv 2310.17347, whose s is `noise` and psi `mixing`.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"scale": 7.5},)
    neutral: ClassVar[dict[str, Any] | None] = {"scale": 1.0, "tau1": 1.0, "tau2": 1.0}

    rule: Literal["cads"]
    scale: Scale
    tau1: Fraction = 0.6
    tau2: Fraction = 0.9
    noise: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.25
    mixing: Fraction = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.tau1 > self.tau2:
            raise refused("tau1", self.tau1, f"at most 'tau2' ({self.tau2:g})")
        return self

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        return np.full_like(levels.progress, self.scale)

    def kept(self, progress: float) -> float:
        """Return g, the fraction of the prompt's variance that is kept."""
        t = 1 - progress
        if t <= self.tau1:
            return 1.0
        return 0.0 if t >= self.tau2 else (self.tau2 - t) / (self.tau2 - self.tau1)

    def condition(
        self, embeddings: "Conditioning", progress: float, visit: int, seeds: Sequence[int]
    ) -> "Conditioning":
        kept = self.kept(progress)
        if kept == 1:
            return embeddings
        import torch

        from empirical.conditioning import Conditioning

        keys = [torch.Generator().manual_seed(seed_of("cads", seed, visit)) for seed in seeds]
        pooled = embeddings.pooled
        return Conditioning(
            self._noised(embeddings.hidden, kept, keys),
            None if pooled is None else self._noised(pooled, kept, keys),
        )

    def _noised(
        self, y: "Float[Tensor, 'n *axes']", kept: float, keys: "Sequence[Generator]"
    ) -> "Float[Tensor, 'n *axes']":
        import torch

        n = torch.stack([torch.randn(y.shape[1:], generator=key) for key in keys]).to(y.device)
        clean, axes = y.float(), tuple(range(1, y.ndim))
        noised = kept**0.5 * clean + self.noise * (1 - kept) ** 0.5 * n
        (s, m), (s_clean, m_clean) = (
            torch.std_mean(x, dim=axes, keepdim=True) for x in (noised, clean)
        )
        restored = (noised - m) * s_clean / s + m_clean
        return (self.mixing * restored + (1 - self.mixing) * noised).to(y.dtype)
