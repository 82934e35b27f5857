"""List a folder: its images, other files, and files that are not data."""

import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from empirical import files
from empirical.errors import UserError
from empirical.images.notes import Notes
from empirical.images.opening import EXTENSIONS


@dataclass(frozen=True)
class Listing:
    """The files of a folder and below it, sorted: images, and others that may be captions.

    Hidden and system files are in neither. `lost` are dangling links, links to folders,
    which are not entered, and folders that cannot be read.
    """

    folder: Path
    images: tuple[Path, ...]
    others: tuple[Path, ...]
    hidden: tuple[Path, ...]
    lost: tuple[Path, ...]

    def name(self, path: Path) -> str:
        """Return a file's path relative to the folder, with slashes."""
        return relative(path, self.folder)

    @cached_property
    def paths(self) -> frozenset[Path]:
        """All images and other files."""
        return frozenset((*self.images, *self.others))

    @cached_property
    def by_name(self) -> dict[str, Path]:
        """All images and other files by normalised relative path."""
        return {normal(self.name(path)): path for path in (*self.images, *self.others)}


def listing(folder: Path) -> Listing:
    """List a folder; raise `UserError` where it cannot be read."""
    images: list[Path] = []
    others: list[Path] = []
    hidden: list[Path] = []
    lost: list[Path] = []
    for path, is_whole in _walk(folder):
        inside = path.relative_to(folder)
        is_image = path.suffix.lower() in EXTENSIONS
        if files.is_hidden(inside):
            hidden += [path] if is_image else []
        elif not is_whole:
            lost.append(path)
        else:
            (images if is_image else others).append(path)
    ordered = [sorted(paths, key=_key) for paths in (images, others, hidden, lost)]
    return Listing(folder, *map(tuple, ordered))


def _walk(folder: Path) -> Iterator[tuple[Path, bool]]:
    """Yield (path, True) for every file, and (path, False) for all that cannot be read."""
    unreadable: list[Path] = []

    def note(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise UserError(f"the folder '{folder}' cannot be read: {error.strerror}") from error
        unreadable.append(Path(error.filename))

    for place, folders, names in os.walk(folder, onerror=note):
        for name in names:
            yield Path(place, name), Path(place, name).is_file()
        for name in folders:
            if Path(place, name).is_symlink():
                yield Path(place, name), False
    for path in unreadable:
        yield path, False


def relative(path: Path, folder: Path) -> str:
    """Return a path with slashes, relative to a folder if it is below it."""
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def normal(text: str) -> str:
    """Return text in composed Unicode (NFC): a Mac's file names are decomposed."""
    return unicodedata.normalize("NFC", text)


def _key(path: Path) -> tuple[str, ...]:
    return tuple(map(normal, path.parts))


def note_left_out(files_of: Listing, used: set[Path], notes: Notes) -> None:
    """Note the files of a folder that are neither images nor used as captions."""
    names = files_of.name
    idle = [path for path in files_of.others if path not in used]
    notes.add("files that are not images and belong to none, left out", *map(names, idle))
    notes.add("hidden copies of images, left out", *map(names, files_of.hidden))
    notes.add(
        "dangling links, links to folders, and unreadable folders, left out",
        *map(names, files_of.lost),
    )
