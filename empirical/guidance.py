"""Guidance rules: the classifier-free guidance (CFG) scale as a function of sampling progress.

A rule is one class. Its fields are its keys in a recipe, its name is the recipe's ``rule``, and
`at` gives the scale. A new rule is found by its base class; nothing else needs to know it.
"""

from abc import ABC, abstractmethod
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Scale = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


class GuidanceRule(BaseModel, ABC):
    """What all rules share; the guided noise is e_u + w (e_c - e_u) with w = `at(progress)`.

    e_c and e_u are the conditional and the unconditional prediction: w = 1 is no guidance, w = 0
    is unconditional, w < 1 mixes the two.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @abstractmethod
    def at(self, progress: np.ndarray) -> np.ndarray:
        """Map progress (0 at pure noise, 1 at the finished image), any shape, to scales w."""

    def scales(self, steps: int) -> np.ndarray:
        """Return the scale at each of `steps` sampling steps; step i has progress i / steps."""
        return np.asarray(self.at(np.arange(steps) / steps), np.float64)


class Constant(GuidanceRule):
    """The same scale w at every step."""

    rule: Literal["constant"]
    scale: Scale

    def at(self, progress: np.ndarray) -> np.ndarray:
        return np.full_like(progress, self.scale, dtype=np.float64)


class Decay(GuidanceRule):
    """A scale that decays: w(s) = floor + (scale - floor) exp(-rate s), s the progress."""

    rule: Literal["decay"]
    scale: Scale
    rate: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
    floor: Scale = 1.0

    def at(self, progress: np.ndarray) -> np.ndarray:
        return self.floor + (self.scale - self.floor) * np.exp(-self.rate * progress)
