"""Guidance that decays while an image is drawn."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from empirical.guidance._base import GuidanceRule, Levels, Rate, Scale


class Decay(GuidanceRule):
    """A scale that goes from `scale` to `floor`: w(s) = floor + (scale - floor) f(rate s).

    s is the progress, 0 at pure noise and 1 at the finished image, and f(x) = exp(-x)
    (``exponential``), max(0, 1 - x) (``linear``) or (1 + cos(pi min(1, x))) / 2 (``cosine``): at
    rate 1 the latter two reach the floor at the finished image. The floor may be above the
    scale, so that guidance grows.

    Decaying guidance is one half of ReDiFine (Yoon et al. 2024, arXiv 2407.17493); the shapes and
    rates here are this project's choice.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"scale": 7.5, "rate": 2.0},
        {"scale": 7.5, "rate": 1.0, "shape": "linear"},
        {"scale": 7.5, "rate": 1.0, "shape": "cosine", "floor": 0.0},
    )
    neutral: ClassVar[dict[str, Any] | None] = {"scale": 1.0, "rate": 2.0}

    rule: Literal["decay"]
    scale: Scale
    rate: Rate
    floor: Scale = 1.0
    shape: Literal["exponential", "linear", "cosine"] = "exponential"

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        x = self.rate * levels.progress
        match self.shape:
            case "exponential":
                kept = np.exp(-x)
            case "linear":
                kept = np.maximum(0, 1 - x)
            case "cosine":
                kept = (1 + np.cos(np.pi * np.minimum(1, x))) / 2
        return self.floor + (self.scale - self.floor) * kept
