"""Folders of images that no chain of ours has made, to be measured like generations."""

from pathlib import Path

import numpy as np

from empirical.data import _IMAGES, _fit, _open, captioned
from empirical.errors import UserError

_GREY = {"1", "L", "LA", "I", "I;16", "F"}


def read(
    folder: Path, side: int | None = None, mode: str | None = None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Return images [n, height, width, channels] (uint8) of a folder, and captions if it has any.

    Captions come from ``metadata.jsonl`` or ``.txt`` files beside the images; where there is
    neither, there are none. All images must have one size, unless a `side` is given: then each is
    cut to its central square and resized. Grey where every image is grey, else RGB, unless a `mode`
    ("L" or "RGB") is given. Raises
    `UserError` for a folder without images, a broken image, or images of different sizes.
    """
    if not folder.is_dir():
        raise UserError(f"'{folder}' is not a folder of images")
    paths, captions = _listed(folder)
    # Opened twice, rather than all held at once before their mode is known.
    modes, sizes = [], []
    for path in paths:
        image = _open(path)
        modes.append(image.mode)
        sizes.append(image.size)
    mode = mode or ("L" if set(modes) <= _GREY else "RGB")
    if side is not None:
        return np.stack([_fit(_open(path), side, mode) for path in paths]), captions
    odd = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if odd is not None:
        raise UserError(
            f"the images of '{folder}' differ in size: '{paths[odd].name}' has "
            f"{_times(sizes[odd])} pixels and '{paths[0].name}' {_times(sizes[0])}; give --side to "
            f"make them equal"
        )
    pixels = np.stack([np.asarray(_open(path).convert(mode), np.uint8) for path in paths])
    return pixels[..., None] if pixels.ndim == 3 else pixels, captions


def _listed(folder: Path) -> tuple[list[Path], tuple[str, ...] | None]:
    if (folder / "metadata.jsonl").is_file() or any(folder.rglob("*.txt")):
        pairs = captioned(folder)
        return [path for path, _ in pairs], tuple(caption for _, caption in pairs)
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _IMAGES)
    if not paths:
        raise UserError(f"the folder '{folder}' holds no images ({', '.join(sorted(_IMAGES))})")
    return paths, None


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
