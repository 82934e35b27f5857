"""Guidance whose prediction keeps the standard deviation of the conditional one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from empirical.guidance._base import Fraction, GuidanceRule, Levels, Scale

if TYPE_CHECKING:
    from torch import Tensor

    from empirical.guidance._step import Step


class Rescale(GuidanceRule):
    """Constant guidance g = e_u + w (e_c - e_u), rescaled to the standard deviation of e_c.

    The prediction is phi g std(e_c) / std(g) + (1 - phi) g, std taken over all coordinates of an
    image. It acts on the denoiser's prediction, be it noise, v or the clean image, as in section
    3.4 of Lin et al. 2023, arXiv 2305.08891 (who predict v) and in Stable Diffusion's pipelines
    (``guidance_rescale``). phi = 0 is constant guidance.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"scale": 7.5, "phi": 0.7},)
    neutral: ClassVar[dict[str, Any] | None] = {"scale": 1.0, "phi": 0.7}

    rule: Literal["rescale"]
    scale: Scale
    phi: Fraction = 0.7

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        return np.full_like(levels.progress, self.scale)

    def guide(self, step: "Step") -> "Float[Tensor, 'n z y x']":
        # The std of the conditional prediction is needed even where it has no weight.
        always = np.full(len(step.scales), True)
        conditional, unconditional = step.pair(always, step.scales != 1)
        guided = unconditional + step.spread(step.scales) * (conditional - unconditional)
        stds = [e.std(dim=(1, 2, 3), keepdim=True) for e in (conditional, guided)]
        return guided * (self.phi * stds[0] / stds[1] + 1 - self.phi)
