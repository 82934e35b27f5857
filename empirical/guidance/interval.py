"""Guidance in an interval of noise levels only."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float
from pydantic import Field, model_validator

from empirical.guidance._base import GuidanceRule, Levels, Scale, refused


class Interval(GuidanceRule):
    """The scale w = `scale` where low < sigma <= high, and w = `outside` elsewhere.

    sigma = sqrt((1 - abar) / abar) is the noise level in units of the latents (``of = "sigma"``,
    as in Kynkäänniemi et al. 2024, arXiv 2404.07724). With ``of = "progress"`` the interval is one
    of the fraction s of steps done, low <= s < high, 0 at pure noise. Where w = 1 the unconditional
    prediction is not computed.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"scale": 7.5, "low": 0.28, "high": 5.42},
        {"scale": 7.5, "low": 0.2, "high": 0.8, "of": "progress"},
    )
    neutral: ClassVar[dict[str, Any] | None] = {"scale": 1.0, "low": 0.28, "high": 5.42}

    rule: Literal["interval"]
    scale: Scale
    low: float = Field(ge=0, le=1e6, allow_inf_nan=False)
    high: float = Field(gt=0, le=1e6, allow_inf_nan=False)
    of: Literal["sigma", "progress"] = "sigma"
    outside: Scale = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low >= self.high:
            raise refused("low", self.low, f"less than 'high' ({self.high:g})")
        if self.of == "progress" and self.high > 1:
            raise refused("high", self.high, "at most 1 as progress")
        return self

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        if self.of == "sigma":
            inside = (levels.sigma > self.low) & (levels.sigma <= self.high)
        else:
            inside = (levels.progress >= self.low) & (levels.progress < self.high)
        return np.where(inside, self.scale, self.outside)
