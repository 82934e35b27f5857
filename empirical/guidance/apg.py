"""Adaptive projected guidance (APG): guidance without the component that saturates."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from empirical.guidance._base import GuidanceRule, Levels, Scale

if TYPE_CHECKING:
    from torch import Tensor

    from empirical.guidance._step import Step

# The smallest normal number of float64.
TINY = float(np.finfo(np.float64).tiny)


class APG(GuidanceRule):
    """Guidance of the predicted clean image D, split into components parallel and orthogonal to it.

    At every evaluation, with a momentum term M that starts at 0:

        M <- (D_c - D_u) + momentum M
        d = M min(1, norm_threshold / |M|)
        p = (<d, D_c> / <D_c, D_c>) D_c,  o = d - p
        D = D_c + (w - 1) (o + parallel p)

    Norms and products run over all coordinates of an image, so that a threshold belongs to one
    size of latents: it grows as the square root of their number. ``norm_threshold = 0`` is none.
    ``parallel = 1`` without threshold and momentum is constant guidance. A negative momentum damps.
    Predictions of noise or v are converted to D and back, in float64: at high noise D is a
    difference of large numbers over a small one, whose rounding the momentum would carry on to low
    noise. An image of zeros has no direction: then p = 0. Sadat, Hilliges & Weber 2024,
    arXiv 2410.02416, whose eta is `parallel`, r `norm_threshold` and beta `momentum`.
    """

    examples: ClassVar[tuple[dict[str, Any], ...]] = (
        {"scale": 7.5},
        {"scale": 10.0, "norm_threshold": 7.5, "momentum": -0.75},
    )
    neutral: ClassVar[dict[str, Any] | None] = {"scale": 1.0, "norm_threshold": 7.5}

    rule: Literal["apg"]
    scale: Scale
    parallel: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = 0.0
    norm_threshold: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] = 0.0
    momentum: Annotated[float, Field(gt=-1, lt=1, allow_inf_nan=False)] = 0.0

    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        return np.full_like(levels.progress, self.scale)

    def guide(self, step: "Step") -> "Float[Tensor, 'n z y x']":
        always = np.full(len(step.scales), True)
        conditional, unconditional = step.pair(always, step.scales != 1)
        if (step.scales == 1).all():
            return conditional
        D_c, D_u = step.clean(conditional.double()), step.clean(unconditional.double())
        M = D_c - D_u
        if self.momentum and "M" in step.memory:
            M = M + self.momentum * step.memory["M"]
        step.memory["M"] = M
        d = M
        if self.norm_threshold:
            d = M * (self.norm_threshold / _dot(M, M).sqrt()).clamp(max=1)
        p = _dot(d, D_c) / _dot(D_c, D_c).clamp(min=TINY) * D_c
        w = step.spread(step.scales)
        guided = step.prediction(D_c + (w - 1) * (d - p + self.parallel * p))
        return guided.to(conditional.dtype)


def _dot(
    a: "Float[Tensor, 'n z y x']", b: "Float[Tensor, 'n z y x']"
) -> "Float[Tensor, 'n 1 1 1']":
    """Return the inner product of each image's coordinates [n, 1, 1, 1]."""
    return (a * b).sum(dim=(1, 2, 3), keepdim=True)
