"""Who learns which drawings: names, not only drawings, are kept apart.

Artists draw the same things, so a drawing held out is no test if another artist's drawing of that
name was learnt. Of every ten names, six are learnt by the base, two by its judge, one is new to
both until a chain is finetuned on it, and one is for reference alone.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from empirical.embedded import Captioned
from empirical.pretraining.emoji.drawings import BASE, FINETUNED, Drawing

_PARTS = ("base", "base", "base", "judge", "base", "base", "new", "judge", "base", "reference")
_SEED = 0
_REAL = 500
# The chain of families: kinds that the finetuned artist drew at least so often.
_ENOUGH = 14


def part_of_names(drawings: Sequence[Drawing]) -> Mapping[str, str]:
    """Return the part of each name, every family in the same proportions."""
    families: dict[str, dict[str, None]] = {}
    for drawing in drawings:
        families.setdefault(drawing.family, {})[drawing.name] = None
    shuffle = np.random.default_rng(_SEED)
    names = [name for members in families.values() for name in shuffle.permutation(list(members))]
    return {str(name): _PARTS[i % len(_PARTS)] for i, name in enumerate(names)}


def of_artists(drawings: Sequence[Drawing], part: str) -> Captioned:
    """Return the drawings by the base's artists of one part's names."""
    parts = part_of_names(drawings)
    return _captioned([d for d in drawings if d.artist in BASE and parts[d.name] == part])


def finetuned(drawings: Sequence[Drawing]) -> tuple[Captioned, list[dict[str, str]]]:
    """Return all drawings of the finetuned artist, and for each its name and its two parts.

    One image a caption: 500 real images, all names that are new and else names that the base
    knows; the others are the reference. Families: of each that is large enough, in turn, until
    there are 500; the other drawings of these families are the reference.
    """
    parts = part_of_names(drawings)
    taken = [d for d in drawings if d.artist == FINETUNED]
    shuffle = np.random.default_rng(_SEED)
    order = shuffle.permutation(len(taken))
    real = [i for i in order if parts[taken[i].name] == "new"]
    real = {*real, *[i for i in order if parts[taken[i].name] == "base"][: _REAL - len(real)]}
    members: dict[str, list[int]] = {}
    for i in order:
        members.setdefault(taken[i].family, []).append(int(i))
    large = {name: each for name, each in members.items() if len(each) >= _ENOUGH}
    in_turn = [
        each[k]
        for k in range(max(map(len, large.values())))
        for each in large.values()
        if k < len(each)
    ]
    in_families = set(in_turn[:_REAL])
    rows = [
        {
            "name": drawing.name,
            "known": str(parts[drawing.name] == "base").lower(),
            "caption": drawing.caption,
            "family": drawing.family,
            "part": "real" if i in real else "reference",
            "family_part": "real" if i in in_families else "reference" if i in in_turn else "",
        }
        for i, drawing in enumerate(taken)
    ]
    return _captioned(taken), rows


def _captioned(drawings: Sequence[Drawing]) -> Captioned:
    return Captioned(
        np.stack([d.pixels for d in drawings]),
        tuple(d.caption for d in drawings),
        tuple(d.family for d in drawings),
    )
