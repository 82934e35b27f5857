"""The plan for a folder of captioned images, with the sizes and lengths of `digits`."""

from pathlib import Path

import numpy as np

from empirical.data import real_images
from empirical.embedded import SIDE, Captioned
from empirical.errors import UserError
from empirical.pretraining.plan import Plan, Words
from empirical.recipe import DataTable

_SEED, _FEWEST = 0, 10


def plan(place: str, colour: bool = True) -> Plan:
    """Return a plan for a folder, or a data set of the hub (``hub:owner/name``).

    Captions are categories. Of each caption's images a tenth are held out as real images, a tenth
    as reference. Raises `UserError` where a caption has fewer than ten images.
    """
    source = real_images.source_of(place)
    captions = [caption for _, caption in source]
    of_caption: dict[str, list[int]] = {}
    for i, caption in enumerate(captions):
        of_caption.setdefault(caption, []).append(i)
    rarest = min(of_caption, key=lambda caption: len(of_caption[caption]))
    if len(of_caption[rarest]) < _FEWEST:
        raise UserError(
            f"'{place}' has {len(captions)} images with {len(of_caption)} captions, and "
            f"{len(of_caption[rarest])} with '{rarest}': it takes {_FEWEST} or more with each"
        )
    table = DataTable(name=place, size=len(captions))
    mode = "RGB" if colour else "L"
    every = Captioned(
        real_images.pixels(table, [image for image, _ in source], SIDE, mode),
        tuple(captions),
        tuple(captions),
    )
    base, real, reference = (every.take(places) for places in _split([*of_caption.values()]))
    return Plan(
        Path(place).name,
        base=base,
        classified=base,
        real=real,
        reference=reference,
        prompted=reference,
        categories={caption: caption for caption in of_caption},
        card=_words(place, colour, len(base), len(every)),
    )


def _split(families: list[list[int]]) -> tuple[list[int], list[int], list[int]]:
    """Return the places of images to learn, of real images, and of the reference."""
    shuffle = np.random.default_rng(_SEED)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for family in families:
        members = shuffle.permutation(family)
        held = len(members) // _FEWEST
        cuts = np.split(members, [len(members) - 2 * held, len(members) - held])
        for places, cut in zip(parts, cuts, strict=True):
            places += cut.tolist()
    return parts


def _words(place: str, colour: bool, base: int, count: int) -> Words:
    return Words(
        licence="other",
        command=f"pretrain images {place}{'' if colour else ' --grey'}",
        what=f"A text-conditional latent diffusion model of the {count:,} images of `{place}`.",
        prompts="the captions of these images.",
        data=f"{base:,} of the images; a tenth are held out as real images, a tenth as reference.",
        classifier="The judge is the classifier that lies beside the weights, trained on the same "
        "images; its categories are the captions.",
        limits="It draws images of these captions, 32 pixels wide, and nothing else.",
    )
