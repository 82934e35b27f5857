"""The split of drawings into parts by names, so that no part shares a name with another.

Artists draw the same things: a drawing held out is no test if another artist's drawing of that name
was learnt. Of every ten names, six are for the base model, two for its classifier, one is new to
both until a chain is finetuned on it, and one is for reference alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from empirical.embedded import Captioned
from empirical.pretraining.emoji.drawings import BASE, FINETUNED, Drawing

_PARTS = (
    "base", "base", "base", "classifier", "base",
    "base", "new", "classifier", "base", "reference",
)  # fmt: skip
_SEED = 0
_REAL = 500
# Families of fewer drawings say little of a variance within.
_ENOUGH = 14


def part_of_names(drawings: Sequence[Drawing]) -> Mapping[str, str]:
    """Return the part of each name, in every category in the same proportions."""
    categories: dict[str, dict[str, None]] = {}
    for drawing in drawings:
        categories.setdefault(drawing.category, {})[drawing.name] = None
    shuffle = np.random.default_rng(_SEED)
    names = [name for each in categories.values() for name in shuffle.permutation(list(each))]
    return {str(name): _PARTS[i % len(_PARTS)] for i, name in enumerate(names)}


def of_artists(drawings: Sequence[Drawing], part: str) -> Captioned:
    """Return the drawings of one part's names by the artists of the base model."""
    parts = part_of_names(drawings)
    return _captioned([d for d in drawings if d.artist in BASE and parts[d.name] == part])


def finetuned(drawings: Sequence[Drawing]) -> tuple[Captioned, list[dict[str, str]]]:
    """Return all drawings of the finetuned artist, and a row of the table for each.

    `part` is of one image a caption: 500 real images, those with new names first, then names of the
    base model; the others are the reference. `family_part` is of large categories: 500 of their
    drawings are real, in each category the same proportion, the others are the reference.
    """
    parts = part_of_names(drawings)
    drawn = [d for d in drawings if d.artist == FINETUNED]
    order = [int(i) for i in np.random.default_rng(_SEED).permutation(len(drawn))]
    named = {part: [i for i in order if parts[drawn[i].name] == part] for part in ("new", "base")}
    real = set((named["new"] + named["base"])[:_REAL])
    of_category: dict[str, list[int]] = {}
    for i in order:
        of_category.setdefault(drawn[i].category, []).append(i)
    large = [i for each in of_category.values() if len(each) >= _ENOUGH for i in each]
    fraction = min(1.0, _REAL / max(len(large), 1))
    in_family = {
        i: "real" if int((k + 1) * fraction) > int(k * fraction) else "reference"
        for k, i in enumerate(large)
    }
    rows = [
        {
            "name": drawing.name,
            "known": str(parts[drawing.name] == "base").lower(),
            "caption": drawing.caption,
            "category": drawing.category,
            "part": "real" if i in real else "reference",
            "family_part": in_family.get(i, ""),
        }
        for i, drawing in enumerate(drawn)
    ]
    return _captioned(drawn), rows


def _captioned(drawings: Sequence[Drawing]) -> Captioned:
    return Captioned(
        np.stack([d.pixels for d in drawings]),
        tuple(d.caption for d in drawings),
        tuple(d.category for d in drawings),
    )
