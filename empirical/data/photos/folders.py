"""The images of a folder, with their captions or without."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from PIL import Image

from empirical import files
from empirical.data.photos import captions, hub, tables
from empirical.data.photos.captions import Beside, CaptionError
from empirical.data.photos.listing import Listing, listing, normal, note_left_out
from empirical.errors import UserError
from empirical.images import opening
from empirical.images.notes import Notes, counted


class Photo(Protocol):
    """An image that can be opened, and told from others by its name and its content."""

    @property
    def name(self) -> str:
        """The path relative to the data folder, or the row of a data set."""
        ...

    def open(self, notes: Notes | None = None) -> Image.Image:
        """Return the image in 8 bits without transparency."""
        ...

    def digest(self) -> str:
        """Return the SHA-256 of the content, in hexadecimal digits."""
        ...


@dataclass(frozen=True)
class File:
    """An image file; `name` is its path relative to the data folder, with slashes."""

    path: Path
    name: str

    def open(self, notes: Notes | None = None) -> Image.Image:
        """Return the image in 8 bits without transparency."""
        return opening.read(self.path, str(self.path), notes)

    def digest(self) -> str:
        """Return the SHA-256 of the file, in hexadecimal digits.

        A file is read again only where it was written again.
        """
        try:
            s = self.path.stat()
            state = (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
            return _sha256(self.path, state)
        except OSError as error:
            raise UserError(f"the image '{self.path}' cannot be read: {error.strerror}") from error


@lru_cache(maxsize=2**18)
def _sha256(path: Path, state: tuple[int, ...]) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def captioned(place: Path, column: str | None = None) -> Sequence[tuple[Photo, str]]:
    """Return the images of a folder, a saved data set or one of the hub, with their captions.

    Captions come from tables where there are any, else from files beside the images, else from
    the names of kohya's folders; `column` names that of a table or data set. Warns once of what is
    left out. Raises `UserError` where there are no images, `CaptionError` where not every image
    has a caption, or a table cannot be read.
    """
    if hub.is_one(place):
        return hub.captioned(place, column)
    if not place.is_dir():
        raise UserError(
            f"the data '{place}' is neither 'digits' nor a folder of images, nor a data set of the "
            f"hub as in 'hub:owner/name'"
        )
    there, notes = listing(place), Notes(place)
    found = tables.find(there)
    if found:
        pairs = _from_tables(there, found, column, notes)
    else:
        _must_hold_images(there)
        if column is not None:
            notes.add("'data.caption_column' is of no use where there is no table", column)
        pairs = _beside(there, notes)
    notes.add("empty captions", *(photo.name for photo, text in pairs if not text))
    notes.warn()
    return pairs


def every(place: Path) -> Sequence[Photo]:
    """Return all images of a folder or a saved data set, sorted, whatever captions they have.

    Warns once of what is left out. Raises `UserError` where there are none.
    """
    if hub.is_one(place):
        return hub.every(place)
    there, notes = listing(place), Notes(place)
    _must_hold_images(there)
    beside = Beside(there)
    used = {path for image in there.images for path in beside.of(image)}
    note_left_out(there, used | {p for ps in tables.find(there) for p in ps}, notes)
    notes.warn()
    return [_file(there, path) for path in there.images]


def _must_hold_images(there: Listing) -> None:
    if not there.images:
        others = {path.suffix.lower() for path in there.others} - {""}
        those = f", but files {', '.join(sorted(others))}" if others else ""
        if others & {".parquet", ".arrow"}:
            those += " (a data set of the library datasets is read as its save_to_disk writes it)"
        raise UserError(
            f"the folder '{there.folder}' holds no images "
            f"({', '.join(sorted(opening.EXTENSIONS))}){those}"
        )


def _file(there: Listing, path: Path) -> File:
    return File(path, there.name(path))


def _from_tables(
    there: Listing, found: list[list[Path]], column: str | None, notes: Notes
) -> list[tuple[File, str]]:
    beside, pairs, bare, hidden, again, several = Beside(there), [], [], [], [], []
    others: list[str] = []
    seen: dict[Path, str | None] = {}
    elsewhere: set[Path] = set()
    for first, *further in found:
        table = tables.read(first, column, notes)
        for where, name, text in table.rows:
            path = _path(there, table, where, name)
            if _is_hidden(there, path):
                hidden.append(name)
                continue
            if path in elsewhere or not _may_be_an_image(path):
                elsewhere.add(path)
                others.append(there.name(path))
                continue
            if path in seen:
                (again if seen[path] == text else several).append(there.name(path))
            seen[path] = text
            if text is None:
                bare.append(there.name(path))
            else:
                pairs.append((_file(there, path), text))
        for other in further:
            _compare(there, seen, other, column, notes)
    if len(found) > 1:
        notes.add("tables of captions", *(there.name(first) for first, *_ in found))
    notes.add("rows that name hidden files, left out", *hidden)
    notes.add("rows that name files which are no images, left out", *others)
    notes.add("images named twice with the same caption, taken twice", *again)
    notes.add("images named again with another caption, taken with each", *several)
    notes.add("images with an empty row, left out", *bare)
    unnamed = [there.name(path) for path in there.images if path not in seen]
    notes.add(f"images not named in {_those(found)}, left out", *unnamed)
    _note_other_captions(there, beside, seen, notes)
    used = {path for image in there.images for path in beside.of(image)}
    used |= elsewhere | set(seen) | {path for paths in found for path in paths}
    note_left_out(there, used, notes)
    if not pairs:
        raise CaptionError(f"the tables of captions in '{there.folder}' name no image")
    return pairs


def _those(found: list[list[Path]]) -> str:
    names = sorted({first.name for first, *_ in found})
    return " and ".join(names)


def _path(there: Listing, table: tables.Table, where: str, name: str) -> Path:
    """Return the file that a row names, also with a backslash, with spaces around it, or composed
    in another way."""
    place = table.path.parent
    for spelt in dict.fromkeys((name, name.replace("\\", "/"), name.strip().replace("\\", "/"))):
        path = place / spelt
        try:
            is_file = path.is_file()
        except OSError:
            # A name longer than any file's.
            continue
        # One file has one name, whether the row has it from the root or by way of '..'.
        short = there.folder / os.path.relpath(path, there.folder)
        if is_file:
            return short if short in there.paths and short.samefile(path) else path
        near = there.by_name.get(normal(there.name(short)))
        if near is not None:
            return near
    raise CaptionError(f"{where} of '{table.path}' names '{name}', which is not there")


def _may_be_an_image(path: Path) -> bool:
    return path.suffix.lower() in opening.EXTENSIONS or opening.is_image(path)


def _is_hidden(there: Listing, path: Path) -> bool:
    below = path.is_relative_to(there.folder)
    return below and files.is_hidden(path.relative_to(there.folder))


def _compare(
    there: Listing, seen: dict[Path, str | None], other: Path, column: str | None, notes: Notes
) -> None:
    """Note where a second table of the same place says something else."""
    try:
        table = tables.read(other, column, Notes(there.folder))
        theirs = {_path(there, table, where, name): text for where, name, text in table.rows}
    except CaptionError:
        notes.add("tables beside another one, not read", there.name(other))
        return
    differing = [
        there.name(path)
        for path, text in theirs.items()
        if not _is_hidden(there, path) and seen.get(path) != text
    ]
    notes.add(f"captions of '{other.name}' that differ, not taken", *differing)


def _note_other_captions(
    there: Listing, beside: Beside, seen: dict[Path, str | None], notes: Notes
) -> None:
    differing = []
    for path, text in seen.items():
        try:
            if any(captions.read(one) != text for one in beside.of(path)[:1]):
                differing.append(there.name(path))
        except CaptionError:
            differing.append(there.name(path))
    notes.add("captions beside the images that differ from the table's, not taken", *differing)


def _beside(there: Listing, notes: Notes) -> list[tuple[File, str]]:
    beside, pairs, bare = Beside(there), [], []
    used: set[Path] = set()
    differing, named, repeated = [], [], []
    for image in there.images:
        of_image = beside.of(image)
        used.update(of_image)
        kohya = captions.of_kohya_folder(image, there.folder)
        repeated += [there.name(image)] if kohya and kohya[0] > 1 else []
        if of_image:
            texts = [captions.read(path) for path in of_image]
            if any(text != texts[0] for text in texts):
                differing.append(there.name(image))
            text = texts[0]
        elif kohya:
            named.append(there.name(image))
            text = kohya[1]
        else:
            bare.append(image)
            continue
        pairs.append((_file(there, image), text))
    if bare:
        # Names of folders alone, as of years, are not meant as captions.
        raise _bare(there, bare, absent=not used)
    notes.add("images whose caption is the name of their folder", *named)
    notes.add("images in folders with repeats, each taken once", *repeated)
    notes.add("images with several caption files that differ, of which .txt is taken", *differing)
    note_left_out(there, used, notes)
    return pairs


def _bare(there: Listing, bare: list[Path], absent: bool) -> CaptionError:
    names = [there.name(path) for path in bare]
    more = "" if len(bare) == 1 else f" (of {len(there.images)} images have none: {counted(names)})"
    return CaptionError(
        f"the image '{bare[0]}' has no caption{more}: give it one in '{bare[0].stem}.txt' beside "
        f"it, or all of them in metadata.jsonl",
        absent,
    )
