"""Files that are whole or not there.

Everything a run writes goes to a hidden neighbour first, which then takes the name in one step.
The neighbour's name is always the same, so what a killed process left is overwritten, not kept.
"""

import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from empirical.errors import UserError


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically, making its folder; on failure nothing of it remains."""
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


def write_array(path: Path, array: np.ndarray) -> None:
    """Write a ``.npy`` file atomically."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_bytes(path, buffer.getvalue())


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write pixels [height, width, channels] (uint8, 1 or 3 channels) as a PNG, atomically."""
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "PNG")
    write_bytes(path, buffer.getvalue())


def read_image(path: Path) -> np.ndarray:
    """Read a PNG of this package's own making as pixels [height, width, channels] (uint8)."""
    with _named("image", path), Image.open(path) as image:
        pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def read_array(path: Path) -> np.ndarray:
    """Read a ``.npy`` file of numbers."""
    with _named("array", path):
        return np.load(path)


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    with _named("file", path):
        return json.loads(path.read_text(encoding="utf-8"))


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file of one JSON object a line."""
    with _named("file", path):
        # Texts may hold characters that end a line for Python, but not for JSON.
        lines = path.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines if line.strip()]


def visible(folder: Path, pattern: str) -> list[Path]:
    """List files by name, without the hidden copies that other systems leave beside them."""
    return sorted(p for p in folder.glob(pattern) if p.is_file() and not p.name.startswith("."))


@contextmanager
def _named(kind: str, path: Path) -> Iterator[None]:
    """Raise `UserError` that names a file which is missing or damaged."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"the {kind} '{path}' is missing") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"the {kind} '{path}' is damaged: {reason}") from error


def sweep(folder: Path) -> None:
    """Remove what interrupted writes left in a folder and below it."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


def available(path: Path) -> int:
    """Return the free bytes on the device that holds a path or its nearest existing parent."""
    while not path.exists():
        path = path.parent
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize
