"""Images with captions and categories."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

# The side of every embedded image, in pixels.
SIDE = 32


@dataclass(frozen=True)
class Captioned:
    """Images [n, height, width, channels] (uint8) with captions [n] and categories [n].

    A category is the caption of a kind of images, shorter than their captions. Where captions name
    no more than kinds, as those of digits, categories equal them.
    """

    images: UInt8[np.ndarray, "n h w c"]
    captions: tuple[str, ...]
    categories: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)

    def take(self, places: Sequence[int] | Int[np.ndarray, " m"]) -> "Captioned":
        """Return the images at some places, in that order."""
        return Captioned(
            self.images[np.asarray(places, int)],
            tuple(self.captions[i] for i in places),
            tuple(self.categories[i] for i in places),
        )
