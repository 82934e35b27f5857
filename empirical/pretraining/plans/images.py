"""The plan of a model of one's own: any folder of captioned images, of the size of `digits`."""

from collections.abc import Sequence

import numpy as np

from empirical.data import real_images
from empirical.embedded import Captioned
from empirical.errors import UserError
from empirical.pretraining.plan import Plan, Sizes, Words
from empirical.recipe import DataTable

_HELD_OUT, _SEED, _FEWEST = 0.2, 0, 20


def plan(place: str, colour: bool = True) -> Plan:
    """Return a plan for a folder, or a data set of the hub (``hub:owner/name``).

    Captions are families. Of each family a fifth is held out, half of it as real images for the
    judge, half as reference. Raises `UserError` where the images are too few or have no captions.
    """
    source = real_images.source_of(place)
    captions = [caption for _, caption in source]
    base, real, reference = _split(captions)
    if min(len(real), len(reference)) < _FEWEST:
        raise UserError(
            f"'{place}' has {len(captions)} images with {len(set(captions))} captions: a tenth of "
            f"each caption's are held out twice, which must be {_FEWEST} or more in all"
        )
    table = DataTable(name=place, size=max(2, len(captions)))
    pixels = real_images.pixels(
        table, [image for image, _ in source], Sizes.side, "RGB" if colour else "L"
    )

    def part(places: Sequence[int]) -> Captioned:
        texts = tuple(captions[i] for i in places)
        return Captioned(pixels[list(places)], texts, texts)

    return Plan(
        "images",
        base=part(base),
        judge=part(base),
        real=part(real),
        reference=part(reference),
        prompted=part(reference),
        families={caption: caption for caption in dict.fromkeys(captions)},
        card=_words(place, len(base), len(captions)),
        sizes=Sizes(channels=3) if colour else Sizes(),
    )


def _split(captions: Sequence[str]) -> tuple[list[int], list[int], list[int]]:
    """Return the places of images to learn from, to judge, and for reference."""
    shuffle = np.random.default_rng(_SEED)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for caption in dict.fromkeys(captions):
        members = shuffle.permutation([i for i, text in enumerate(captions) if text == caption])
        held = round(_HELD_OUT / 2 * len(members))
        cuts = np.split(members, [len(members) - 2 * held, len(members) - held])
        for places, cut in zip(parts, cuts, strict=True):
            places += cut.tolist()
    return parts


def _words(place: str, learnt: int, count: int) -> Words:
    return Words(
        licence="other",
        what=f"A text-conditional latent diffusion model of the {count:,} images of `{place}`.",
        prompts="the captions of these images.",
        data=f"{learnt:,} of the images; a tenth is held out as real images, a tenth as reference.",
        judge="The judge is the classifier that lies beside the weights, trained on the same "
        "images; its families are the captions.",
        limits="It draws what its captions name, 32 pixels wide, and nothing else.",
    )
