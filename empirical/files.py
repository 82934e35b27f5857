"""Files that are complete or absent.

Everything a run writes goes to a hidden neighbour first, which is then renamed in one step. The
neighbour's name is always the same, so the leftovers of a killed process are overwritten.
"""

import codecs
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from empirical.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

# Folders and files of systems and file servers, beside everything that begins with a dot.
_SYSTEM = frozenset(
    {
        "__macosx", "@eadir", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "desktop.ini",
        "ehthumbs.db", "lost+found", "system volume information", "thumbs.db",
    }
)  # fmt: skip
# The longer ones first: that of UTF-16 begins that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, making its folder; a failure leaves no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, content: str) -> None:
    """Write a text file atomically, in UTF-8."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_array(path: Path, array: Shaped[np.ndarray, "..."]) -> None:
    """Write a ``.npy`` file atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(path, buffer.getvalue())


def write_image(path: Path, pixels: UInt8[np.ndarray, "h w c"]) -> None:
    """Write pixels [height, width, channels] (uint8, 1 or 3 channels) as a PNG, atomically."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def read_image(path: Path) -> UInt8[np.ndarray, "h w c"]:
    """Read a PNG that this package wrote as pixels [height, width, channels] (uint8)."""
    with _named("image", path), Image.open(path) as image:
        # Programs that make PNGs smaller store few colours as a palette, or as single bits.
        pixels = np.asarray(image if image.mode in ("L", "RGB") else _as_written(image, path))
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _as_written(image: Image.Image, path: Path) -> Image.Image:
    from empirical.images import opening

    image = opening.plain(image, str(path))
    if image.mode == "P":
        colours = image.convert("RGB")
        red, green, blue = (channel.tobytes() for channel in colours.split())
        return image.convert("L") if red == green == blue else colours
    return image.convert("L" if opening.is_grey(image) else "RGB")


def read_array(path: Path) -> Shaped[np.ndarray, "..."]:
    """Read a ``.npy`` file of numbers."""
    with _named("array", path):
        return np.load(path)


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in the encoding of its byte order mark, without the mark.

    Raises `UserError` where it is not text in that encoding, `OSError` where it cannot be read.
    """
    content = path.read_bytes()
    marks = (encoding for mark, encoding in _MARKS if content.startswith(mark))
    encoding = next(marks, "utf-8")
    expected = encoding.removesuffix("-sig").upper()
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"'{path}' is not a text file in {expected}: {error}; save it as UTF-8"
        ) from error
    if "\0" in text:
        # UTF-16 without a mark, for example, is valid UTF-8 by chance.
        raise UserError(
            f"'{path}' is not a text file in {expected}: it holds bytes that are 0; "
            f"save it as UTF-8"
        )
    return text


def lines(text: str) -> list[str]:
    """Split text at line ends only, not at the other separators of Unicode, which JSON allows
    within a string."""
    return [line.removesuffix("\r") for line in text.split("\n")]


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    with _named("file", path):
        return json.loads(read_text(path))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line; empty lines are skipped."""
    with _named("file", path):
        return [json.loads(line) for line in lines(read_text(path)) if line.strip()]


def read_table(path: Path) -> "pd.DataFrame":
    """Read a table of comma-separated values."""
    import pandas as pd

    with _named("table", path):
        return pd.read_csv(path)


def is_hidden(path: Path) -> bool:
    """Return whether any part of a relative path is hidden or belongs to an operating system."""
    return any(
        (part.startswith(".") and part != "..") or part.casefold() in _SYSTEM for part in path.parts
    )


def visible(folder: Path, pattern: str) -> list[Path]:
    """Return the visible paths that match a pattern below a folder, sorted: a copy that went
    through a Mac has a hidden file beside each."""
    matches = folder.glob(pattern)
    return sorted(path for path in matches if not is_hidden(path.relative_to(folder)))


@contextmanager
def _named(kind: str, path: Path) -> Iterator[None]:
    """Raise `UserError` that names a file which is missing or damaged."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"the {kind} '{path}' is missing") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"the {kind} '{path}' is damaged: {reason}") from error


def sweep(folder: Path) -> None:
    """Remove the leftovers of interrupted writes in a folder and below it."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


def available(path: Path) -> int:
    """Return the free bytes on the device that holds a path or its nearest existing parent."""
    while not path.exists():
        path = path.parent
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize
