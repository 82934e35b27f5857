"""CFG++: guide the clean image, renoise with the unconditional prediction."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from empirical.errors import UserError
from empirical.guidance._base import GuidanceRule, Levels, Scale


class CFGPlusPlus(GuidanceRule):
    """Clean image from the guided noise, renoised with the unconditional one; lambda = `scale`.

    With abar the level and abar' the next one, g = e_u + lambda (e_c - e_u):

        x0 = (x - sqrt(1 - abar) g) / sqrt(abar),  x' = sqrt(abar') x0 + sqrt(1 - abar') e_u

    A DDIM step with noise e is x' = sqrt(abar') x / sqrt(abar) + (s' - r) e, where
    s' = sqrt(1 - abar') and r = sqrt(abar' (1 - abar) / abar). Comparing the factors of e_c - e_u,
    -r lambda here and (s' - r) w there, CFG++ is constant guidance's DDIM with the schedule

        w = lambda r / (r - s') = lambda / (1 - sigma' / sigma),  sigma = sqrt((1 - abar) / abar)

    which depends on the steps: w grows with their number and falls towards lambda in the last one.
    The same holds for Euler steps in sigma. Stochastic and multistep samplers renoise otherwise, so
    it is not defined for them here. lambda = 0 is unconditional; no lambda gives the conditional
    prediction. Chung et al. 2024, arXiv 2406.08070 (lambda in [0, 1] there).
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = ({"scale": 0.6},)
    neutral: ClassVar[dict[str, Any] | None] = None
    samplers: ClassVar[tuple[str, ...] | None] = ("ddim", "euler")

    rule: Literal["cfg_plus_plus"]
    scale: Scale

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        kept = levels.sigma_next / levels.sigma
        if (kept >= 1).any():
            raise UserError(
                f"the guidance rule 'cfg_plus_plus' needs steps that lower the noise, step "
                f"{int(np.argmax(kept >= 1)) + 1} of {len(kept)} does not: take fewer steps, or a "
                f"scheduler with another 'timestep_spacing'"
            )
        return self.scale / (1 - kept)
