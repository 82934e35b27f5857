"""Folders of images from elsewhere, measured like generations."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from empirical.data.photos import folders
from empirical.data.photos.captions import CaptionError
from empirical.data.photos.folders import Photo
from empirical.data.real_images import _fit
from empirical.errors import UserError
from empirical.images import opening
from empirical.images.notes import Notes


def read(
    folder: Path, side: int | None = None, mode: str | None = None
) -> tuple[UInt8[np.ndarray, "n h w c"], tuple[str, ...] | None]:
    """Return images [n, height, width, channels] (uint8) of a folder, and captions if it has any.

    Captions are found as for a chain's data; where an image lacks one there are none, with a
    warning unless nothing in the folder was meant as one. All images must have one size,
    unless a `side` is given: then each is cropped to its central square and resized. Grey where
    every image is grey, else RGB, unless a `mode` ("L" or "RGB") is given. Raises `UserError` for a
    folder without images, a broken image, or images of different sizes.
    """
    if not folder.is_dir():
        raise UserError(f"'{folder}' is not a folder of images")
    photos, captions = _listed(folder)
    # Opened twice: all at once, before their mode is known, may not fit into memory.
    grey, sizes, notes = [], [], Notes(folder)
    for photo in photos:
        image = photo.open(notes)
        grey.append(opening.is_grey(image))
        sizes.append(image.size)
    notes.warn()
    mode = mode or ("L" if all(grey) else "RGB")
    if side is not None:
        return np.stack([_fit(photo.open(), side, mode) for photo in photos]), captions
    odd = next((i for i, size in enumerate(sizes) if size != sizes[0]), None)
    if odd is not None:
        raise UserError(
            f"the images of '{folder}' differ in size: '{photos[odd].name}' has "
            f"{_times(sizes[odd])} pixels and '{photos[0].name}' {_times(sizes[0])}; give --side "
            f"to make them equal"
        )
    pixels = np.stack([np.asarray(photo.open().convert(mode), np.uint8) for photo in photos])
    return pixels[..., None] if pixels.ndim == 3 else pixels, captions


def _listed(folder: Path) -> tuple[Sequence[Photo], tuple[str, ...] | None]:
    try:
        pairs = folders.captioned(folder)
    except CaptionError as reason:
        if not reason.absent:
            warnings.warn(f"'{folder}' is measured without captions: {reason}", stacklevel=2)
        return folders.every(folder), None
    return [photo for photo, _ in pairs], tuple(caption for _, caption in pairs)


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
