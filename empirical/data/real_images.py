"""Real images with captions: the embedded digits, or a folder or data set of the user."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from empirical import embedded
from empirical.data.photos import folders
from empirical.data.photos.folders import Photo
from empirical.errors import UserError
from empirical.images.notes import Notes
from empirical.recipe import DataTable, Settings
from empirical.seeds import seed_of

# An image of the package, a file, or a row of a data set.
Item = Image.Image | Photo
_Pairs = Sequence[tuple[Item, str]]
_CHANNELS = {"L": 1, "RGB": 3}


@dataclass(frozen=True)
class Population:
    """Images [n, height, width, channels] (uint8), each with its caption; equal captions are one
    family."""

    images: UInt8[np.ndarray, "n h w c"]
    captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)


def real(table: DataTable, side: int, mode: str, seed: int, generation: int = 0) -> Population:
    """Return `size` real images of `side` pixels squared, the families in turn.

    Several data sets share the size evenly, each with its own prompts. Where there are more images
    than asked for, seed and generation draw which of each family are taken: generation 0 is the
    start of a chain, later ones are what the control chain of real data learns from. Warns once of
    images that are not read as they are. Raises `UserError` for a folder without images or
    captions, too few images, or a broken image.
    """
    chosen = _chosen(table, seed, generation)
    images = pixels(table, [image for taken, _ in chosen for image, _ in taken], side, mode)
    return Population(images, tuple(caption for taken, _ in chosen for _, caption in taken))


def captions(table: DataTable, seed: int) -> list[str]:
    """Return the captions of the images that `real` returns; none of them is opened."""
    return [caption for taken, _ in _chosen(table, seed, 0) for _, caption in taken]


def reference(
    table: DataTable, side: int, mode: str, seed: int, *, fresh: bool = False
) -> UInt8[np.ndarray, "n {side} {side} c"] | None:
    """Return real images [n, side, side, channels] that no generation learns from, if there are.

    Embedded data have a set apart; of folders what `real` has left over, at most as many as it
    took, unless the control chain learns from `fresh` real images.
    """
    if embedded.are_embedded(table.names):
        images = embedded.load(table.names[0], "reference").images
        return images if (side, _CHANNELS[mode]) == images.shape[2:] else None
    left = [image for _, spare in _chosen(table, seed, 0) for image, _ in spare]
    if fresh or not left:
        return None
    return pixels(table, left, side, mode)


def held_out(
    settings: Settings, side: int, mode: str
) -> UInt8[np.ndarray, "n {side} {side} c"] | None:
    """Return real images that a chain never sees, where there are any."""
    fresh = settings.finetune.training_set == "real"
    return reference(settings.data, side, mode, settings.seed, fresh=fresh)


def _chosen(table: DataTable, seed: int, generation: int) -> list[tuple[_Pairs, _Pairs]]:
    """Return for each data set the images and captions that are taken, and at most as many of those
    left over."""
    chosen = []
    for size, source in listed(table):
        pairs = [source[i] for i in order([caption for _, caption in source], seed, generation)]
        chosen.append((pairs[:size], pairs[size : 2 * size]))
    return chosen


def listed(table: DataTable) -> list[tuple[int, _Pairs]]:
    """Return for each data set how many of its images are asked for, and all that it has."""
    sources = []
    for index, name in enumerate(table.names):
        size = (table.size + index) // len(table.names)
        source = source_of(name, table.caption_column)
        if size > len(source):
            raise UserError(
                f"'data.size' needs {size} images of '{name}', which has {len(source)} images: "
                f"give that number or fewer"
            )
        sources.append((size, source))
    return sources


def source_of(name: str, column: str | None = None) -> _Pairs:
    """List the images and captions of a data set by its name in a recipe, with captions from a
    `column` of its table."""
    return _of_the_package(name) if embedded.is_embedded(name) else captioned(Path(name), column)


def order(captions: list[str], seed: int, generation: int = 0) -> list[int]:
    """Return the order in which the images of a data set are taken for a generation."""
    return _order(captions, seed_of("real", seed, *([generation] if generation else [])))


def pixels(
    table: DataTable, images: Sequence[Item], side: int, mode: str
) -> UInt8[np.ndarray, "n {side} {side} c"]:
    """Return images as pixels [n, side, side, channels] (uint8); warn once of what is not read as
    it is."""
    notes = Notes(", ".join(table.names))
    fitted = np.stack([_fit(_loaded(image, notes), side, mode) for image in images])
    notes.warn()
    return fitted


def _loaded(image: Item, notes: Notes) -> Image.Image:
    return image if isinstance(image, Image.Image) else image.open(notes)


def _of_the_package(name: str) -> list[tuple[Image.Image, str]]:
    data = embedded.load(name, "real")
    pairs = zip(data.images, data.captions, strict=True)
    return [(Image.fromarray(pixels.squeeze()), caption) for pixels, caption in pairs]


def captioned(folder: Path, column: str | None = None) -> Sequence[tuple[Photo, str]]:
    """List the images of a folder or data set with their captions, sorted by name.

    See `empirical.data.photos.folders.captioned`.
    """
    return folders.captioned(folder, column)


def _fit(image: Image.Image, side: int, mode: str) -> UInt8[np.ndarray, "{side} {side} c"]:
    """Crop to the central square, resize, and return pixels [side, side, channels]."""
    image = image.convert(mode)
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _order(captions: list[str], seed: int) -> list[int]:
    """Shuffle images so that however many are taken, each family has as many as possible."""
    families: dict[str, list[int]] = {}
    for index, caption in enumerate(captions):
        families.setdefault(caption, []).append(index)
    shuffle = np.random.default_rng(seed)
    drawn = [list(shuffle.permutation(members)) for members in families.values()]
    rounds = range(max(map(len, drawn)))
    return [int(members[k]) for k in rounds for members in drawn if k < len(members)]
