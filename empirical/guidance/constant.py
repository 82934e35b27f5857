"""Classifier-free guidance with a constant scale."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from empirical.guidance._base import GuidanceRule, Levels, Scale


class Constant(GuidanceRule):
    """The same scale at every step: e_u + w (e_c - e_u), w = `scale`.

    Ho & Salimans 2022, arXiv 2207.12598, who call w - 1 their scale; the number here is the one of
    Stable Diffusion's pipelines, whose images it reproduces. Below 1 the two are mixed, below 0 the
    prompt is avoided.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"scale": 7.5}, {"scale": 0.5})
    neutral: ClassVar[dict[str, Any] | None] = {"scale": 1.0}

    rule: Literal["constant"]
    scale: Scale

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        return np.full_like(levels.progress, self.scale)
