"""Drawings of several artists, read from the archives in which they are published.

The archives are packages of npm, each of one version (`ARCHIVES`), as ``npm pack`` saves them.
Names and categories are those of Unicode's list of emoji. People, flags, symbols and the faces of
clocks are left out.
"""

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from empirical.embedded import SIDE
from empirical.errors import UserError
from empirical.pretraining.emoji import captions

# Drawings are composed on white at this size, then reduced.
_LARGE = 64

# Package and version -> the file that ``npm pack`` saves.
ARCHIVES = {
    "emoji-datasource-google@16.0.0": "emoji-datasource-google-16.0.0.tgz",
    "emoji-datasource-twitter@16.0.0": "emoji-datasource-twitter-16.0.0.tgz",
    "@iconify-json/noto-v1@1.2.5": "iconify-json-noto-v1-1.2.5.tgz",
    "@iconify-json/emojione@1.2.3": "iconify-json-emojione-1.2.3.tgz",
    "@iconify-json/fxemoji@1.2.2": "iconify-json-fxemoji-1.2.2.tgz",
    "@lobehub/fluent-emoji-3d@1.1.0": "lobehub-fluent-emoji-3d-1.1.0.tgz",
    "emojibase-data@17.0.0": "emojibase-data-17.0.0.tgz",
}
# The artists whose drawings the base learns, and the one whose drawings chains start from.
BASE = ("noto", "twemoji", "noto-v1", "emojitwo", "fxemoji")
FINETUNED = "fluent-3d"

_LEFT_OUT = {"People & Body", "Flags", "Symbols", "Component"}
_CLOCK_FACE = re.compile(r"o.clock$|-thirty$")


@dataclass(frozen=True)
class Drawing:
    """One drawing: pixels [32, 32, 3] (uint8) on white, its artist, name, caption and category."""

    pixels: UInt8[np.ndarray, "32 32 3"]
    artist: str
    name: str
    caption: str
    category: str


@dataclass(frozen=True)
class _Entry:
    """An emoji of Unicode's list: code points, name, category, and its file of the data sources."""

    code: str
    name: str
    category: str
    file: str
    nicknames: tuple[str, ...]

    @property
    def slug(self) -> str:
        """The name as packages write it: ``red-apple``."""
        return captions.plain(self.name).replace(" ", "-")


def read(folder: Path) -> Iterator[Drawing]:
    """Yield every drawing of every artist from the archives in a folder, names in Unicode's order.

    Raises `UserError` that names the missing archives.
    """
    missing = [package for package, name in ARCHIVES.items() if not (folder / name).is_file()]
    if missing:
        raise UserError(
            f"'{folder}' lacks archives: run 'npm pack {' '.join(missing)}' in that folder"
        )
    entries = _entries(folder)
    artists = _artists(folder)
    for entry in entries:
        for artist, drawn in artists.items():
            image = drawn(entry)
            if image is not None:
                yield Drawing(
                    _on_white(image),
                    artist,
                    entry.name,
                    captions.caption(entry.name),
                    captions.CATEGORIES[entry.category],
                )


def _entries(folder: Path) -> list[_Entry]:
    listed = json.loads(_members(folder, "emoji-datasource-google", "emoji.json")["emoji.json"])
    names = json.loads(_members(folder, "emojibase-data", "en/data.json")["en/data.json"])
    name_of = {_bare(row["hexcode"]): row["label"] for row in names}
    return [
        _Entry(
            row["unified"].lower(),
            name_of[_bare(row["unified"])],
            row["subcategory"],
            row["image"],
            tuple(row["short_names"]),
        )
        for row in sorted(listed, key=lambda row: row["sort_order"])
        if row["category"] not in _LEFT_OUT
        and not _CLOCK_FACE.search(name_of[_bare(row["unified"])])
    ]


def _bare(code: str) -> str:
    """Return code points without the selector of coloured presentation."""
    return code.upper().replace("-FE0F", "")


def _artists(folder: Path) -> Mapping[str, Callable[[_Entry], Image.Image | None]]:
    """Return for each artist the function from an emoji to its image, None where it has none."""
    return {
        "noto": _pictures(folder, "emoji-datasource-google", "img/google/64/"),
        "twemoji": _pictures(folder, "emoji-datasource-twitter", "img/twitter/64/"),
        "noto-v1": _icons(folder, "iconify-json-noto-v1"),
        "emojitwo": _icons(folder, "iconify-json-emojione"),
        "fxemoji": _icons(folder, "iconify-json-fxemoji"),
        "fluent-3d": _pictures(folder, "lobehub-fluent-emoji-3d", "assets/"),
    }


def _pictures(folder: Path, package: str, inside: str) -> Callable[[_Entry], Image.Image | None]:
    members = _members(folder, package, inside)

    def picture(entry: _Entry) -> Image.Image | None:
        for name in (entry.file, f"{entry.code}.webp"):
            if inside + name in members:
                return Image.open(io.BytesIO(members[inside + name]))
        return None

    return picture


def _icons(folder: Path, package: str) -> Callable[[_Entry], Image.Image | None]:
    """Icons are drawn by lines and areas, named by words with or without hyphens."""
    try:
        import resvg_py
    except ModuleNotFoundError as error:
        raise UserError(
            "drawings made of lines and areas need 'resvg-py': "
            "pip install 'diffusion-qtm[drawings]'"
        ) from error
    content = json.loads(_members(folder, package, "icons.json")["icons.json"])
    icons: dict[str, Any] = content["icons"]
    joined = {name.replace("-", ""): name for name in reversed(icons)}

    def icon(entry: _Entry) -> Image.Image | None:
        names = [entry.slug, *(nick.replace("_", "-") for nick in entry.nicknames)]
        name = next((joined[n] for n in (n.replace("-", "") for n in names) if n in joined), None)
        if name is None:
            return None
        width, height = (icons[name].get(key, content.get(key, 16)) for key in ("width", "height"))
        text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" '
            f'xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {width} {height}" '
            f'width="{_LARGE}" height="{_LARGE}">{icons[name]["body"]}</svg>'
        )
        return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=text))))

    return icon


def _members(folder: Path, package: str, inside: str) -> dict[str, bytes]:
    """Return the files of an archive whose path starts with `inside`, by path."""
    name = next(name for name in ARCHIVES.values() if re.match(rf"{package}-\d", name))
    members = {}
    try:
        with tarfile.open(folder / name) as archive:
            for member in archive:
                path = member.name.removeprefix("package/")
                if member.isfile() and path.startswith(inside):
                    stream = archive.extractfile(member)
                    assert stream is not None
                    members[path] = stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UserError(f"the archive '{folder / name}' is damaged: {error}") from error
    if not members:
        raise UserError(f"the archive '{folder / name}' has no '{inside}': it is another version")
    return members


def _on_white(image: Image.Image) -> UInt8[np.ndarray, "32 32 3"]:
    drawn = image.convert("RGBA").resize((_LARGE, _LARGE), Image.Resampling.LANCZOS)
    white = Image.new("RGBA", drawn.size, "white")
    white.alpha_composite(drawn)
    return np.asarray(white.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS))
