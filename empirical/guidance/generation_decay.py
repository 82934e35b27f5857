"""Guidance that decays from generation to generation."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from empirical.guidance._base import GuidanceRule, Levels, Rate, Scale


class GenerationDecay(GuidanceRule):
    """A scale that is constant within an image and decays along the chain.

    Generation t is drawn at w(t) = floor + (scale - floor) f(rate (t - 1)) with f(x) = exp(-x)
    (``exponential``) or max(0, 1 - x) (``linear``); `rate` is per generation. The first generation
    is drawn at `scale`, as are images of the base model by itself (generation 0).

    Introduced here as a control for `decay`: the same range of scales, over generations.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"scale": 7.5, "rate": 0.5},
        {"scale": 7.5, "rate": 0.2, "shape": "linear"},
    )
    neutral: ClassVar[dict[str, Any] | None] = {"scale": 1.0, "rate": 0.5}

    rule: Literal["generation_decay"]
    scale: Scale
    rate: Rate
    floor: Scale = 1.0
    shape: Literal["exponential", "linear"] = "exponential"

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        x = self.rate * max(0, generation - 1)
        kept = np.exp(-x) if self.shape == "exponential" else max(0.0, 1 - x)
        return np.full_like(levels.progress, self.floor + (self.scale - self.floor) * kept)
