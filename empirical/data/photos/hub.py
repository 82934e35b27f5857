"""Data sets of the library datasets: from the hub, or from a folder that `save_to_disk` wrote."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from empirical.data.photos.captions import CaptionError, clean
from empirical.data.photos.tables import COLUMNS, caption_column
from empirical.errors import UserError
from empirical.images import opening
from empirical.images.notes import Notes

PREFIX = "hub:"
_SPLIT = "train"
_IMAGES = ("image", "images", "img", "picture", "photo", "jpg", "png")
_TEXTS = ("string", "large_string")


@dataclass(frozen=True)
class Row:
    """An image of a data set; `name` is its row."""

    rows: Any
    column: str
    index: int
    place: str

    @property
    def name(self) -> str:
        """The number of the row, from 0."""
        return str(self.index)

    def open(self, notes: Notes | None = None) -> Image.Image:
        """Return the image in 8 bits without transparency."""
        what = f"{self.place}, row {self.index}"
        stored = self.rows[self.index][self.column]
        if stored is None:
            raise UserError(f"the image '{what}' is empty: leave the row out")
        if not isinstance(stored, Mapping):
            raise UserError(f"the image '{what}' is broken or not an image: it is {type(stored)}")
        content, path = stored.get("bytes"), stored.get("path")
        if content is None and path is None:
            raise UserError(f"the image '{what}' is empty")
        return opening.read(Path(path) if content is None else content, what, notes)

    def digest(self) -> str:
        """Return the SHA-256 of the size and the pixels, in hexadecimal digits."""
        image = self.open()
        head = f"{image.mode} {image.size}".encode()
        return hashlib.sha256(head + image.tobytes()).hexdigest()


def is_data_set(place: Path) -> bool:
    """Return whether a place is a data set of the hub, or a folder of a saved one."""
    return str(place).startswith(PREFIX) or _is_saved(place) or _is_saved_dict(place)


def captioned(place: Path, column: str | None) -> list[tuple[Row, str]]:
    """Return the images of a data set with their captions, in the order of its rows.

    The columns are found by type and name. Raises `UserError` where the data set cannot be loaded
    or has no images, `CaptionError` where it has no captions.
    """
    data, notes = _Data(place), Notes(place)
    photos = data.photos
    key = data.caption_column(column, notes)
    pairs, bare = [], []
    for row, value in zip(photos, data.values(key), strict=True):
        if value is None:
            bare.append(row.name)
        elif not isinstance(value, str):
            raise CaptionError(f"row {row.name} of '{place}': '{key}' must be a string")
        else:
            pairs.append((row, clean(value, f"row {row.name} of '{place}'")))
    notes.add("rows without a caption, left out", *bare)
    notes.add("empty captions", *(row.name for row, text in pairs if not text))
    notes.warn()
    if not pairs:
        raise CaptionError(f"no row of '{place}' has a caption in its column '{key}'", absent=True)
    return pairs


def every(place: Path) -> list[Row]:
    """Return all images of a data set, in the order of its rows."""
    return _Data(place).photos


@dataclass(frozen=True)
class _Data:
    """One split of a data set, and the roles of its columns."""

    place: Path

    @cached_property
    def _split(self) -> Any:
        # The saved format may hide columns, and turn images into tensors.
        return _loaded(self.place).with_format(None)

    @cached_property
    def rows(self) -> Any:
        return _decoded_later(self._split, self.image_column)

    @property
    def _features(self) -> Mapping[str, Any]:
        return self._split.features

    @cached_property
    def image_column(self) -> str:
        import datasets

        images = [n for n, kind in self._features.items() if isinstance(kind, datasets.Image)]
        if not images:
            # Other tools write bytes and a path, without the type of an image.
            images = [n for n, kind in self._features.items() if _holds_files(kind)]
        named = [name for name in _IMAGES if name in images]
        if not images:
            raise UserError(
                f"the data set '{self.place}' has no column of images: "
                f"it has {_columns(self._features)}"
            )
        if len(images) > 1 and not named:
            raise UserError(
                f"the data set '{self.place}' has several columns of images, "
                f"{', '.join(map(repr, images))}: rename the right one to 'image'"
            )
        return (named or images)[0]

    @cached_property
    def photos(self) -> list[Row]:
        return [
            Row(self.rows, self.image_column, i, str(self.place)) for i in range(len(self.rows))
        ]

    def caption_column(self, column: str | None, notes: Notes) -> str:
        """Return the column of captions: the given one; or by name; or the only column of text;
        or the only one of classes, whose names are captions."""
        texts = [n for n, kind in self._features.items() if getattr(kind, "dtype", 0) in _TEXTS]
        classes = [n for n, kind in self._features.items() if hasattr(kind, "int2str")]
        if column is not None:
            return caption_column([*self._features], column, f"the data set '{self.place}'")
        named = [name for name in texts if name.strip().casefold() in COLUMNS]
        for candidates in (named, texts, classes):
            if len(candidates) == 1 or (candidates and candidates is named):
                key = caption_column(candidates, None, "") if candidates is named else candidates[0]
                if candidates is not named or len(named) > 1:
                    notes.add("captions are those of the column", key)
                return key
        raise CaptionError(
            f"the data set '{self.place}' has no captions in a column 'text', 'caption' or "
            f"'prompt': it has {_columns(self._features)} ('data.caption_column' names another)",
            absent=True,
        )

    def values(self, key: str) -> list[Any]:
        """Return a column, with class indices as class names."""
        kind, values = self._features[key], list(self.rows[key])
        if not hasattr(kind, "int2str"):
            return values
        # The library writes -1 for a row without a class.
        return [None if v is None or v < 0 else kind.int2str(v) for v in values]


def _loaded(place: Path) -> Any:
    try:
        import datasets
    except ModuleNotFoundError:
        raise UserError(
            f"'datasets' is not installed, which the data set '{place}' needs: "
            f"pip install 'diffusion-qtm[data]'"
        ) from None
    name = str(place)
    try:
        if name.startswith(PREFIX):
            data = datasets.load_dataset(name.removeprefix(PREFIX))
        else:
            data = datasets.load_from_disk(name)
    except MemoryError:
        raise
    except Exception as error:
        # Errors of the hub, the network, arrow and scripts have no common class.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        where = (
            "cannot be loaded from the hub, nor from earlier downloads"
            if name.startswith(PREFIX)
            else "is damaged, or was written by another version of datasets"
        )
        raise UserError(f"the data set '{name}' {where}: {reason}") from error
    return _one_split(name, data)


def _one_split(name: str, data: Any) -> Any:
    if not isinstance(data, Mapping):
        return data
    if _SPLIT in data:
        return data[_SPLIT]
    if len(data) == 1:
        return next(iter(data.values()))
    raise UserError(
        f"the data set '{name}' has the splits {', '.join(map(repr, data))} and none called "
        f"'{_SPLIT}': save the intended one by its save_to_disk, and name that folder"
    )


def _decoded_later(rows: Any, column: str) -> Any:
    """Return rows whose images stay encoded, to be opened like any file."""
    import datasets

    return rows.cast_column(column, datasets.Image(decode=False))


def _holds_files(kind: Any) -> bool:
    return isinstance(kind, Mapping) and {"bytes", "path"} <= set(kind)


def _columns(features: Mapping[str, Any]) -> str:
    return ", ".join(map(repr, features)) or "none"


def _is_saved(place: Path) -> bool:
    return all((place / name).is_file() for name in ("state.json", "dataset_info.json"))


def _is_saved_dict(place: Path) -> bool:
    return (place / "dataset_dict.json").is_file()
