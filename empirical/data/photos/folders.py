"""The images of a folder, with or without their captions."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from PIL import Image

from empirical import embedded, files
from empirical.data.photos import captions, hub, tables
from empirical.data.photos.captions import Beside, CaptionError
from empirical.data.photos.listing import Listing, listing, normal, note_left_out
from empirical.errors import UserError
from empirical.images import opening
from empirical.images.notes import Notes, counted


class Photo(Protocol):
    """An image that can be opened, identified by its name and its content."""

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
    the names of kohya's folders; `column` names that of a table or data set. Warns once of
    everything left out. Raises `UserError` where there are no images, `CaptionError` where an
    image has no caption, or a table cannot be read.
    """
    if hub.is_data_set(place):
        return hub.captioned(place, column)
    if not place.is_dir():
        raise UserError(
            f"the data '{place}' is neither an embedded set ({', '.join(embedded.names())}) nor a "
            f"folder of images, nor a data set of the hub as in 'hub:owner/name'"
        )
    listed, notes = listing(place), Notes(place)
    groups = tables.find(listed)
    if groups:
        pairs = _from_tables(listed, groups, column, notes)
    else:
        _require_images(listed)
        if column is not None:
            notes.add("'data.caption_column' has no effect without a table", column)
        pairs = _beside(listed, notes)
    notes.add("empty captions", *(photo.name for photo, text in pairs if not text))
    notes.warn()
    return pairs


def every(place: Path) -> Sequence[Photo]:
    """Return all images of a folder or a saved data set, sorted, whatever their captions.

    Warns once of everything left out. Raises `UserError` where there are none.
    """
    if hub.is_data_set(place):
        return hub.every(place)
    listed, notes = listing(place), Notes(place)
    _require_images(listed)
    beside = Beside(listed)
    used = {path for image in listed.images for path in beside.files_of(image)}
    note_left_out(listed, used | {p for ps in tables.find(listed) for p in ps}, notes)
    notes.warn()
    return [_file(listed, path) for path in listed.images]


def _require_images(listed: Listing) -> None:
    if not listed.images:
        others = {path.suffix.lower() for path in listed.others} - {""}
        those = f", but files {', '.join(sorted(others))}" if others else ""
        if others & {".parquet", ".arrow"}:
            those += " (a data set of the library datasets is read as written by its save_to_disk)"
        raise UserError(
            f"the folder '{listed.folder}' holds no images "
            f"({', '.join(sorted(opening.EXTENSIONS))}){those}"
        )


def _file(listed: Listing, path: Path) -> File:
    return File(path, listed.name(path))


def _from_tables(
    listed: Listing, groups: list[list[Path]], column: str | None, notes: Notes
) -> list[tuple[File, str]]:
    beside, pairs, bare, hidden, again, several = Beside(listed), [], [], [], [], []
    others: list[str] = []
    seen: dict[Path, str | None] = {}
    elsewhere: set[Path] = set()
    for first, *further in groups:
        table = tables.read(first, column, notes)
        for where, name, text in table.rows:
            path = _path(listed, table, where, name)
            if _is_hidden(listed, path):
                hidden.append(name)
                continue
            if path in elsewhere or not _may_be_an_image(path):
                elsewhere.add(path)
                others.append(listed.name(path))
                continue
            if path in seen:
                (again if seen[path] == text else several).append(listed.name(path))
            seen[path] = text
            if text is None:
                bare.append(listed.name(path))
            else:
                pairs.append((_file(listed, path), text))
        for other in further:
            _compare(listed, seen, other, column, notes)
    if len(groups) > 1:
        notes.add("tables of captions", *(listed.name(first) for first, *_ in groups))
    notes.add("rows that name hidden files, left out", *hidden)
    notes.add("rows that name files that are not images, left out", *others)
    notes.add("images named twice with the same caption, taken twice", *again)
    notes.add("images named again with another caption, taken with each", *several)
    notes.add("images with an empty row, left out", *bare)
    unnamed = [listed.name(path) for path in listed.images if path not in seen]
    notes.add(f"images not named in {_those(groups)}, left out", *unnamed)
    _note_other_captions(listed, beside, seen, notes)
    used = {path for image in listed.images for path in beside.files_of(image)}
    used |= elsewhere | set(seen) | {path for paths in groups for path in paths}
    note_left_out(listed, used, notes)
    if not pairs:
        raise CaptionError(f"the tables of captions in '{listed.folder}' name no image")
    return pairs


def _those(groups: list[list[Path]]) -> str:
    names = sorted({first.name for first, *_ in groups})
    return " and ".join(names)


def _path(listed: Listing, table: tables.Table, where: str, name: str) -> Path:
    """Return the file that a row names, even with backslashes, surrounding spaces, or another
    Unicode composition."""
    place = table.path.parent
    for spelt in dict.fromkeys((name, name.replace("\\", "/"), name.strip().replace("\\", "/"))):
        path = place / spelt
        try:
            is_file = path.is_file()
        except OSError:
            # The name is too long for a file.
            continue
        # One file has one name, whether the row's path is absolute or goes through '..'.
        short = listed.folder / os.path.relpath(path, listed.folder)
        if is_file:
            return short if short in listed.paths and short.samefile(path) else path
        near = listed.by_name.get(normal(listed.name(short)))
        if near is not None:
            return near
    # A file system may ignore capitals; this table was perhaps written on one.
    alike = [p.name for p in listed.paths if p.name.lower() == Path(name).name.lower()]
    hint = f": did you mean '{alike[0]}'?" if alike else ""
    raise CaptionError(f"{where} of '{table.path}' names '{name}', which does not exist{hint}")


def _may_be_an_image(path: Path) -> bool:
    return path.suffix.lower() in opening.EXTENSIONS or opening.is_image(path)


def _is_hidden(listed: Listing, path: Path) -> bool:
    below = path.is_relative_to(listed.folder)
    return below and files.is_hidden(path.relative_to(listed.folder))


def _compare(
    listed: Listing, seen: dict[Path, str | None], other: Path, column: str | None, notes: Notes
) -> None:
    """Note where a second table of the same place differs."""
    try:
        table = tables.read(other, column, Notes(listed.folder))
        theirs = {_path(listed, table, where, name): text for where, name, text in table.rows}
    except CaptionError:
        notes.add("tables beside another, not read", listed.name(other))
        return
    differing = [
        listed.name(path)
        for path, text in theirs.items()
        if not _is_hidden(listed, path) and seen.get(path) != text
    ]
    notes.add(f"captions of '{other.name}' that differ, not taken", *differing)


def _note_other_captions(
    listed: Listing, beside: Beside, seen: dict[Path, str | None], notes: Notes
) -> None:
    differing = []
    for path, text in seen.items():
        try:
            if any(captions.read(file) != text for file in beside.files_of(path)[:1]):
                differing.append(listed.name(path))
        except CaptionError:
            differing.append(listed.name(path))
    notes.add("captions beside the images that differ from the table's, not taken", *differing)


def _beside(listed: Listing, notes: Notes) -> list[tuple[File, str]]:
    beside, pairs, bare = Beside(listed), [], []
    used: set[Path] = set()
    differing, named, repeated = [], [], []
    for image in listed.images:
        of_image = beside.files_of(image)
        used.update(of_image)
        kohya = captions.of_kohya_folder(image, listed.folder)
        repeated += [listed.name(image)] if kohya and kohya[0] > 1 else []
        if of_image:
            texts = [captions.read(path) for path in of_image]
            if any(text != texts[0] for text in texts):
                differing.append(listed.name(image))
            text = texts[0]
        elif kohya:
            named.append(listed.name(image))
            text = kohya[1]
        else:
            bare.append(image)
            continue
        pairs.append((_file(listed, image), text))
    if bare:
        # Folder names by themselves, such as years, are not meant as captions.
        raise _bare(listed, bare, absent=not used)
    notes.add("images whose caption is the name of their folder", *named)
    notes.add("images in folders with repeats, each taken once", *repeated)
    notes.add("images with several caption files that differ, of which .txt is taken", *differing)
    note_left_out(listed, used, notes)
    return pairs


def _bare(listed: Listing, bare: list[Path], absent: bool) -> CaptionError:
    names = [listed.name(path) for path in bare]
    more = (
        "" if len(bare) == 1 else f" (of {len(listed.images)} images have none: {counted(names)})"
    )
    return CaptionError(
        f"the image '{bare[0]}' has no caption{more}: give it one in '{bare[0].stem}.txt' beside "
        f"it, or all of them in metadata.jsonl",
        absent,
    )
