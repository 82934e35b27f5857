"""Sets of images as points in a feature space, and the distances between them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy.spatial.distance import cdist

NEIGHBOURS = 5


@dataclass(frozen=True)
class Sample:
    """A set of images in one feature space.

    `features` [n, d]; `captions`, where they are known: equal ones are one family; `predicted`, the
    captions that a classifier predicts, by their categories; `texts` [n, d], embeddings of the
    captions in the space of the features. Raises ValueError where the lengths differ or a feature
    is not finite.
    """

    # Of any shape here, because `Sample` itself refuses what is not [n, d].
    features: Shaped[np.ndarray, "..."]
    captions: tuple[str, ...] | None = None
    predicted: tuple[str, ...] | None = None
    texts: Float[np.ndarray, "n d"] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", np.asarray(self.features, np.float64))
        if self.features.ndim != 2:
            raise ValueError(f"features have shape {self.features.shape}, they must be [n, d]")
        if not np.isfinite(self.features).all():
            bad = int(np.flatnonzero(~np.isfinite(self.features).all(axis=1))[0])
            raise ValueError(f"the features of image {bad} are not finite")
        for name in ("captions", "predicted", "texts"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self):
                raise ValueError(f"{len(value)} {name} do not fit the features of {len(self)}")

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def distances(self) -> Float[np.ndarray, "n n"]:
        """Euclidean distances [n, n]; exactly zero between equal features."""
        return cdist(self.features, self.features)

    @cached_property
    def neighbours(self) -> Float[np.ndarray, "n 5"]:
        """Distances [n, 5] of each image to its first to fifth nearest other one; nan where there
        are fewer others. A copy is another image, at distance 0."""
        padded = np.full((len(self), NEIGHBOURS), np.nan)
        count = min(NEIGHBOURS, len(self) - 1)
        if count > 0:
            # The nearest of all is the image itself.
            nearest = np.partition(self.distances, count, axis=1)[:, : count + 1]
            padded[:, :count] = np.sort(nearest, axis=1)[:, 1:]
        return padded

    @cached_property
    def membership(self) -> Float[np.ndarray, "n families"] | None:
        """Return 1 where image i belongs to family j [n, families], in order of appearance."""
        if self.captions is None:
            return None
        place = {caption: index for index, caption in enumerate(dict.fromkeys(self.captions))}
        return np.eye(len(place))[[place[caption] for caption in self.captions]]

    def take(self, rows: Int[np.ndarray, " k"]) -> "Sample":
        """Return the chosen images as a sample."""
        part = replace(
            self,
            features=self.features[rows],
            captions=_take(self.captions, rows),
            predicted=_take(self.predicted, rows),
            texts=None if self.texts is None else self.texts[rows],
        )
        # A part of the matrix costs a hundredth of computing the distances again.
        part.__dict__["distances"] = self.distances[rows][:, rows]
        return part


@dataclass(frozen=True)
class Pair:
    """A sample and its reference, in the same features.

    Raises ValueError where the numbers of features differ.
    """

    sample: Sample
    reference: Sample

    def __post_init__(self) -> None:
        ours, theirs = self.sample.features.shape[1], self.reference.features.shape[1]
        if ours != theirs:
            raise ValueError(f"{ours} features cannot be compared with {theirs}")

    @cached_property
    def distances(self) -> Float[np.ndarray, "n m"]:
        """Euclidean distances [n, m] of the sample's images to those of the reference."""
        return cdist(self.sample.features, self.reference.features)

    def take(self, rows: Int[np.ndarray, " k"], columns: Int[np.ndarray, " l"]) -> "Pair":
        """Return the chosen images of the sample and of the reference as a pair."""
        part = Pair(self.sample.take(rows), self.reference.take(columns))
        part.__dict__["distances"] = self.distances[rows][:, columns]
        return part


def _take(words: Sequence[str] | None, rows: Int[np.ndarray, " k"]) -> tuple[str, ...] | None:
    return None if words is None else tuple(words[row] for row in rows)
