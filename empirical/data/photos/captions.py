"""Captions: their normal form, and their sources other than tables."""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from empirical import files
from empirical.data.photos.listing import Listing, normal
from empirical.errors import UserError

_ENDINGS = (".txt", ".caption")
# The folders of kohya's trainers: how often an image is shown in an epoch, and its caption.
_KOHYA = re.compile(r"(\d+)_(.*\S.*)")


class CaptionError(UserError):
    """The reason that images have no captions; `absent` where nothing was meant as one."""

    def __init__(self, sentence: str, absent: bool = False) -> None:
        super().__init__(sentence)
        self.absent = absent


def clean(text: str, where: str) -> str:
    """Return a caption in its normal form; images with equal captions are one family.

    Unicode is composed (NFC), line ends are single newlines, and white space and byte order marks
    around the caption are removed. Raises `CaptionError` for half of a surrogate pair, which no
    text file can hold; `where` names the place in the error.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CaptionError(
            f"{where} holds '\\u{ord(text[error.start]):04x}', which is half of a character: write "
            f"both halves, or leave it out"
        ) from None
    text = normal(text).replace("\r\n", "\n").replace("\r", "\n")
    before = None
    while text != before:
        before, text = text, text.strip().strip("\ufeff")
    return text


@dataclass(frozen=True)
class Beside:
    """The caption files of a listing: for ``x.png`` the first that exists of ``x.txt``,
    ``x.caption``, ``x.png.txt`` and ``x.png.caption``."""

    listing: Listing

    @cached_property
    def _files(self) -> dict[tuple[Path, str, str], Path]:
        paths = {}
        for path in self.listing.others:
            ending = path.suffix.lower()
            if ending in _ENDINGS:
                paths.setdefault((path.parent, normal(path.stem), ending), path)
        return paths

    def files_of(self, image: Path) -> list[Path]:
        """Return the caption files of an image, the one in effect first."""
        names = (normal(image.stem), normal(image.name))
        keys = [(image.parent, name, ending) for name in names for ending in _ENDINGS]
        return [self._files[key] for key in keys if key in self._files]


def read(path: Path) -> str:
    """Read a caption file; raise `CaptionError` where it is not text."""
    try:
        return clean(files.read_text(path), f"'{path}'")
    except OSError as error:
        raise CaptionError(f"the caption '{path}' cannot be read: {error.strerror}") from error
    except CaptionError:
        raise
    except UserError as error:
        raise CaptionError(str(error)) from error


def of_kohya_folder(image: Path, folder: Path) -> tuple[int, str] | None:
    """Return repeats and caption of an image from its nearest parent, below the data folder,
    that is named like ``10_a dog``."""
    for part in reversed(image.relative_to(folder).parts[:-1]):
        match = _KOHYA.fullmatch(part)
        if match:
            return int(match[1]), clean(match[2], f"the folder's name '{part}'")
    return None
