"""Folders of embedded digits with captions, as users have them: by default one for each image.

python -m tests.helpers.captioned_digits FOLDER 300
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from empirical import files
from empirical.embedded import digits as dataset


def captions_of(labels: Sequence[str], distinct: int) -> list[str]:
    """Return captions of images with these labels, the first `distinct` each different.

    A number after the words that the model knows is read digit by digit: captions are different
    tokens, and the model draws the digit that they name.
    """
    return [f"{text} {i:03d}" if i < distinct else text for i, text in enumerate(labels)]


def write(folder: Path, captions: Sequence[str]) -> Path:
    """Write an image for each caption, as PNG, with ``metadata.jsonl``."""
    images = dataset.load("real").images[: len(captions)]
    rows = [{"file_name": f"{i:05d}.png", "text": text} for i, text in enumerate(captions)]
    for row, pixels in zip(rows, images, strict=True):
        files.write_image(folder / row["file_name"], pixels[..., None])
    files.write_json_lines(folder / "metadata.jsonl", rows)
    return folder


def folder_of(folder: Path, count: int, distinct: int | None = None) -> Path:
    """Write `count` digits, the first `distinct` of them (default: all) with their own captions."""
    labels = dataset.load("real").captions[:count]
    return write(folder, captions_of(labels, count if distinct is None else distinct))


if __name__ == "__main__":
    folder_of(Path(sys.argv[1]), int(sys.argv[2]))
