"""Real images with captions: the embedded digits, or a folder of anyone's."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from empirical.errors import UserError
from empirical.recipe import DataTable
from empirical.seeds import seed_of

_BROKEN = (
    UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError,
)  # fmt: skip
_IMAGES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class Population:
    """Images [n, height, width, channels] (uint8), each with its caption; equal captions are one
    family."""

    images: np.ndarray
    captions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.captions)


def real(table: DataTable, side: int, mode: str, seed: int, generation: int = 0) -> Population:
    """Return `size` real images of `side` pixels squared, the families in turn.

    Several data sets share the size evenly, each with its own prompts. Where there are more images
    than asked for, seed and generation draw which of each family are taken: generation 0 is the
    start of a chain, later ones are what the control chain of real data learns from. Raises
    `UserError` for a folder without images or captions, too few images, or a broken image.
    """
    key = seed_of("real", seed, *([generation] if generation else []))
    images, captions = [], []
    for index, name in enumerate(table.names):
        size = (table.size + index) // len(table.names)
        source = _digits() if name == "digits" else captioned(Path(name))
        for i in _draw([caption for _, caption in source], name, size, key):
            image, caption = source[i]
            images.append(_fit(_open(image) if isinstance(image, Path) else image, side, mode))
            captions.append(caption)
    return Population(np.stack(images), tuple(captions))


def reference(table: DataTable) -> np.ndarray | None:
    """Return real images [n, 32, 32, 1] that no generation is drawn from, where there are any."""
    if table.names == ["digits"]:
        from empirical.digits import dataset

        return dataset.load("reference").images[..., None]
    return None


def _digits() -> list[tuple[Image.Image, str]]:
    from empirical.digits import dataset

    digits = dataset.load("real")
    pairs = zip(digits.images, digits.captions, strict=True)
    return [(Image.fromarray(pixels), caption) for pixels, caption in pairs]


def captioned(folder: Path) -> list[tuple[Path, str]]:
    """List the images of a folder with their captions, sorted by name.

    Captions come from ``metadata.jsonl`` (keys file_name and text) where there is one, else from
    a ``.txt`` file beside each image.
    """
    if not folder.is_dir():
        raise UserError(f"the data '{folder}' is neither 'digits' nor a folder of images")
    table = folder / "metadata.jsonl"
    if table.is_file():
        pairs = _listed(folder, table)
    else:
        images = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _IMAGES)
        pairs = [(image, _beside(image)) for image in images]
    if not pairs:
        raise UserError(
            f"the data folder '{folder}' holds no images ({', '.join(sorted(_IMAGES))})"
        )
    return pairs


def _listed(folder: Path, table: Path) -> list[tuple[Path, str]]:
    pairs = []
    for number, line in enumerate(_text(table).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, text = row["file_name"], row["text"]
        except (ValueError, TypeError, KeyError):
            raise UserError(
                f"line {number} of '{table}' must be a JSON object with 'file_name' and 'text'"
            ) from None
        if not isinstance(name, str) or not isinstance(text, str):
            raise UserError(f"line {number} of '{table}': 'file_name' and 'text' must be strings")
        if not (folder / name).is_file():
            raise UserError(f"line {number} of '{table}' names '{name}', which is not there")
        pairs.append((folder / name, text))
    return pairs


def _beside(image: Path) -> str:
    caption = image.with_suffix(".txt")
    if not caption.is_file():
        raise UserError(
            f"the image '{image}' has no caption: give it one in '{caption.name}' beside it, or "
            f"all of them in metadata.jsonl"
        )
    return _text(caption).strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is not a text file in UTF-8: {error}") from error


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).copy()
    except _BROKEN as error:
        raise UserError(f"the image '{path}' is broken or no image: {error}") from error


def _fit(image: Image.Image, side: int, mode: str) -> np.ndarray:
    """Crop to the central square, resize, and return pixels [side, side, channels]."""
    image = image.convert(mode)
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _draw(captions: list[str], name: str, size: int, seed: int) -> list[int]:
    """Draw `size` of the images, as many of each family as possible, and put families in turn."""
    if size > len(captions):
        raise UserError(
            f"'data.size' wants {size} images of '{name}', which has {len(captions)} images"
        )
    families: dict[str, list[int]] = {}
    for index, caption in enumerate(captions):
        families.setdefault(caption, []).append(index)
    shuffle = np.random.default_rng(seed)
    drawn = [list(shuffle.permutation(members)) for members in families.values()]
    rounds = range(max(map(len, drawn)))
    turns = [members[k] for k in rounds for members in drawn if k < len(members)]
    return [int(index) for index in turns[:size]]
