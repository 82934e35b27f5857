"""The base of all guidance rules."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from empirical.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from empirical.conditioning import Conditioning
    from empirical.guidance._step import Step

Scale = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True)
class Levels:
    """The noise levels that a sampler visits, from pure noise on; each an array [steps].

    Latents at a level are sqrt(abar) x0 + sqrt(1 - abar) e, abar = `alpha_cumprod`. The sampler
    steps on to `alpha_cumprod_next`, which for its last step is that of the finished image.
    """

    alpha_cumprod: Float[np.ndarray, " steps"]
    alpha_cumprod_next: Float[np.ndarray, " steps"]

    @property
    def progress(self) -> Float[np.ndarray, " steps"]:
        """Fraction of the steps that are done: i / steps at step i, so 0 at pure noise."""
        return np.arange(len(self.alpha_cumprod)) / len(self.alpha_cumprod)

    @property
    def sigma(self) -> Float[np.ndarray, " steps"]:
        """Noise level sqrt((1 - abar) / abar), in units of the latents; infinite at abar = 0."""
        return _sigma(self.alpha_cumprod)

    @property
    def sigma_next(self) -> Float[np.ndarray, " steps"]:
        """The noise level after each step, in the units of `sigma`."""
        return _sigma(self.alpha_cumprod_next)


def _sigma(alpha_cumprod: Float[np.ndarray, " steps"]) -> Float[np.ndarray, " steps"]:
    with np.errstate(divide="ignore"):
        return np.sqrt((1 - alpha_cumprod) / alpha_cumprod)


def refused(field: str, value: float, allowed: str) -> PydanticCustomError:
    """Return the error for a field whose value conflicts with those of other fields."""
    return PydanticCustomError(
        "said",
        "'{field}' of the guidance rule is {value}, it must be {allowed}",
        {"field": field, "value": f"{value:g}", "allowed": allowed},
    )


class GuidanceRule(BaseModel, ABC):
    """A guidance rule, set by its fields: by default e_u + w (e_c - e_u) with w from `scales`.

    e_c is the conditional and e_u the unconditional prediction of the denoiser, whatever it
    predicts (noise, v or clean image: all three are affine in each other, so the rule is the same).
    w = 1 is no guidance, w = 0 unconditional, 0 < w < 1 mixes the two, w < 0 avoids the prompt
    (Ho & Salimans 2022, arXiv 2207.12598, whose scale is w - 1).

    `examples` are settings to try first. `neutral` are settings under which the rule is the
    conditional prediction alone, None where there are none. `samplers` are those that the rule is
    defined for, None for all.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    examples: ClassVar[tuple[dict[str, Any], ...]]
    neutral: ClassVar[dict[str, Any] | None]
    samplers: ClassVar[tuple[str, ...] | None] = None

    @classmethod
    def key(cls) -> str:
        """Return the rule's name in a recipe."""
        return get_args(cls.model_fields["rule"].annotation)[0]

    @property
    def weak(self) -> Literal["base", "previous"] | None:
        """The model that replaces the unconditional prediction, None for the denoiser itself."""
        return None

    @abstractmethod
    def scales(
        self, levels: Levels, generation: int = 0, seeds: Sequence[int] = ()
    ) -> Float[np.ndarray, "steps *n"]:
        """Return the scale w at each of the levels: [steps], or [steps, n] for n images that
        differ. `generation` is that of the images to draw (0: the base model by itself), `seeds`
        are those of the images."""

    def condition(
        self, embeddings: "Conditioning", progress: float, visit: int, seeds: Sequence[int]
    ) -> "Conditioning":
        """Return the conditioning [n, ...] of the denoiser at a visit; by default unchanged.

        `visit` counts the evaluations of the denoiser from 0 (second-order samplers visit a level
        twice).
        """
        return embeddings

    def guide(self, step: "Step") -> "Float[Tensor, 'n z y x']":
        """Return the guided prediction; the denoiser evaluates only predictions with weight."""
        conditional, unconditional = step.pair(step.scales != 0, step.scales != 1)
        return unconditional + step.spread(step.scales) * (conditional - unconditional)

    def check(self, sampler: str) -> None:
        """Raise `UserError` for a sampler that the rule is not defined for."""
        if self.samplers is not None and sampler not in self.samplers:
            allowed = " and ".join(f"'{name}'" for name in self.samplers)
            raise UserError(
                f"the guidance rule '{self.key()}' is defined for the samplers {allowed}, but the "
                f"sampler is '{sampler}'"
            )
