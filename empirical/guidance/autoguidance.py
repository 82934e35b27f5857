"""Autoguidance: away from a weaker model, not from the null prompt."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from empirical.guidance._base import GuidanceRule, Levels, Scale


class Autoguidance(GuidanceRule):
    """The prediction e_weak + w (e - e_weak), both conditioned on the prompt; w = `scale`.

    The weak model is the base model (``against = "base"``) or the model that drew the previous
    generation (``"previous"``, which for generation 1 is the base). No unconditional prediction is
    computed. w < 1 moves towards the weak model. Karras et al. 2024, arXiv 2406.02507, where the
    weak model is a smaller or less trained one; here e is finetuned on the chain's images and the
    weak model is its ancestor, so that w > 1 exaggerates the changes of finetuning.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"scale": 2.0},
        {"scale": 0.5, "against": "previous"},
    )
    neutral: ClassVar[dict[str, Any] | None] = {"scale": 1.0}

    rule: Literal["autoguidance"]
    scale: Scale
    against: Literal["base", "previous"] = "base"

    @property
    def weak(self) -> Literal["base", "previous"] | None:
        """The model that replaces the unconditional prediction."""
        return self.against

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        return np.full_like(levels.progress, self.scale)
