"""The interface of remedies."""

from abc import ABC
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict

Trait = Callable[[str], Float[np.ndarray, "n d"]]


class Remedy(BaseModel, ABC):
    """A change of the life cycle: of what is inherited, selected or mutated.

    Every method has a default that changes nothing; a remedy writes those it needs.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    # Keys of a recipe that the remedy starts from and may replace. A recipe must not say any other
    # setting that the remedy sets.
    reads: ClassVar[tuple[str, ...]] = ()

    name: str

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings it changes, such as ``{"finetune.condition_drop": 0.2}``.

        `given` holds the recipe's values of the keys in `reads`, and no others.
        """
        return {}

    def latent_noise(self) -> float:
        """Return the standard deviation of the Gaussian noise that each image's latents get once
        a generation, in units of the denoiser's latents (whose variance is about one)."""
        return 0.0

    def needed_trait(self) -> str | None:
        """Return the name of the trait that `kept` needs, if any."""
        return None

    def kept(self, trait: Trait, families: Sequence[str]) -> Int[np.ndarray, " m"] | None:
        """Return the indices of the images of one generation that may be learnt from, or None for
        all. `trait(name)` gives the stored values [n, components]."""
        return None

    def acts_by_settings(self) -> bool:
        """Return whether all that it does is in the effective settings."""
        return not self.latent_noise() and type(self).kept is Remedy.kept
