"""Pixels as features, for memorisation: copies are at distance 0; no weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from empirical.errors import UserError

WEIGHTS = "32"


@dataclass(frozen=True)
class Pixels:
    """The pixels of an image in [0, 1], averaged over blocks to at most `side` a side."""

    side: int

    def images(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Return pixels [n, rows * columns * channels] (float32), row by row.

        Blocks have an integer side; pixels that do not fill one, at the right and the bottom, are
        left out.
        """
        block = -(-max(images.shape[1:3]) // self.side)
        rows, columns = (size // block for size in images.shape[1:3])
        if not rows or not columns:
            raise UserError(
                f"images of {images.shape[1]} x {images.shape[2]} pixels are too narrow for blocks "
                f"of {block}: name finer pixels, such as pixels:{max(images.shape[1:3])}"
            )
        shape = (rows, block, columns, block, images.shape[3])
        # Image by image: a float copy of all of them may not fit into memory.
        return np.stack(
            [
                (image[: rows * block, : columns * block].reshape(shape).mean(axis=(1, 3)) / 255)
                .astype(np.float32)
                .ravel()
                for image in images
            ]
        )

    def texts(self, captions: Sequence[str]) -> None:
        """Return None: captions have no pixels."""
        return


def load(weights: str, offline: bool = False) -> Pixels:
    """Return the extractor; its "weights" are the largest side in pixels, 32 by default."""
    if not weights.isdecimal() or int(weights) < 1:
        raise UserError(f"'pixels:{weights}' must name a number of pixels, such as pixels:32")
    return Pixels(int(weights))
