"""Prompts of one image, in groups of alike images: what the theory of prompts follows instead.

A caption of one image has no variance within it, and hundreds of captions are too many mean vectors
to follow. The theory then describes groups of captions: of their images in generation 0, along the
leading axes of the latents, the set is halved at the median along the axis on which it varies most,
then each half, until the groups have as few images as they should. V_W is the variance within
groups, that of captions included, and V_B that between groups.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

# More prompts than this are grouped, into at most 16 groups of at least 8 images.
MOST = 32
_GROUPS, _IMAGES = 16, 8


@dataclass(frozen=True)
class Groups:
    """Which group each caption belongs to; `names` are those of the groups, the captions themselves
    where each is its own, else of the caption nearest the mean of its group."""

    names: tuple[str, ...]
    members: dict[str, int]

    @property
    def of_single_captions(self) -> bool:
        """Whether each caption is its own group."""
        return len(self.names) == len(self.members)

    def indices(self, captions: Sequence[str]) -> Int[np.ndarray, " n"]:
        """Return the group of each of the captions; they must be known."""
        return np.array([self.members[caption] for caption in captions])


def single(captions: Sequence[str]) -> Groups:
    """Return the groups of one caption each, in alphabetical order."""
    names = tuple(sorted(set(captions)))
    return Groups(names, {caption: i for i, caption in enumerate(names)})


def alike(captions: Sequence[str], values: Float[np.ndarray, "n K"]) -> Groups:
    """Return groups of captions whose images have alike values."""
    texts = sorted(set(captions))
    place = {caption: i for i, caption in enumerate(texts)}
    codes = np.array([place[caption] for caption in captions])
    counts = np.bincount(codes)
    means = np.zeros((len(texts), values.shape[1]))
    np.add.at(means, codes, values)
    means /= counts[:, None]
    halvings = min(np.log2(_GROUPS), np.log2(max(len(captions) / _IMAGES, 1)))
    group = np.zeros(len(texts), int)
    for _ in range(int(halvings)):
        group = _halved(means, group)
    centre = np.stack([means[group == g].mean(axis=0) for g in range(group.max() + 1)])
    far = np.square(means - centre[group]).sum(axis=1)
    nearest = [
        min(np.flatnonzero(group == g).tolist(), key=far.__getitem__) for g in range(len(centre))
    ]
    return Groups(tuple(texts[i] for i in nearest), dict(zip(texts, group.tolist(), strict=True)))


def _halved(
    values: Float[np.ndarray, "n K"], group: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " n"]:
    halves = 2 * group
    for g in range(group.max() + 1):
        members = np.flatnonzero(group == g)
        rest = values[members] - values[members].mean(axis=0)
        along = rest @ np.linalg.eigh(rest.T @ rest)[1][:, -1]
        order = np.argsort(along, kind="stable")
        halves[members[order[len(members) // 2 :]]] += 1
    return halves
