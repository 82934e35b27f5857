"""A scale for each image, drawn from a range."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float
from pydantic import model_validator

from empirical.guidance._base import GuidanceRule, Levels, Scale, refused
from empirical.seeds import seed_of


class Uniform(GuidanceRule):
    """Each image has a constant scale, uniform between `low` and `high`.

    The draw is keyed by the image's seed: the same image has the same scale in any batch.
    Introduced here, to test whether guidance collapses a chain by its strength or its uniformity.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"low": 1.0, "high": 7.5},)
    neutral: ClassVar[dict[str, Any] | None] = {"low": 1.0, "high": 1.0}

    rule: Literal["uniform"]
    low: Scale
    high: Scale

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise refused("low", self.low, f"at most 'high' ({self.high:g})")
        return self

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        fractions = np.array([seed_of("uniform guidance", seed) / 2**63 for seed in seeds])
        scales = self.low + (self.high - self.low) * fractions
        return np.broadcast_to(scales, (len(levels.progress), len(scales)))
