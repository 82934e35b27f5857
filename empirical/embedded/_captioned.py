"""Images, each with its caption and the shorter caption of its family."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8


@dataclass(frozen=True)
class Captioned:
    """Images [n, height, width, channels] (uint8) with captions [n] and families [n].

    A family is a set of images of one kind; its name is a caption too. Where captions are of kinds
    already, as those of digits are, families equal them.
    """

    images: UInt8[np.ndarray, "n h w c"]
    captions: tuple[str, ...]
    families: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)

    def take(self, places: Sequence[int] | Int[np.ndarray, " m"]) -> "Captioned":
        """Return the images at some places, in that order."""
        return Captioned(
            self.images[np.asarray(places, int)],
            tuple(self.captions[i] for i in places),
            tuple(self.families[i] for i in places),
        )
