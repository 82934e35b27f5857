"""One data set of a run: the images taken from it, and whether they have changed."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from empirical.data import real_images
from empirical.data.photos.folders import File
from empirical.data.real_images import Item
from empirical.errors import UserError


@dataclass(frozen=True)
class DataSet:
    """One data set of a run: its record, and where its images are now.

    `images` are rows of file, text and sha256, of all that may be needed; `chosen` and `held_out`
    are places among them. `count` and `listing` are of the whole data set, `where` it is now, with
    captions in a `column` of its table if that is named; `embedded`, whether it comes with this
    package.
    """

    name: str
    size: int
    count: int
    listing: str
    images: tuple[dict[str, str], ...]
    chosen: tuple[int, ...]
    held_out: tuple[int, ...]
    where: str
    column: str | None = None
    embedded: bool = False

    def row(self) -> dict[str, Any]:
        """Return its row of ``data.json``."""
        known = {"name": self.name, "size": self.size, "embedded": self.embedded}
        if self.embedded:
            return known
        return {
            **known,
            "count": self.count,
            "listing": self.listing,
            "chosen": list(self.chosen),
            "held_out": list(self.held_out),
            "images": list(self.images),
        }

    @cached_property
    def _source(self) -> list[tuple[Item, str]]:
        return list(real_images.source_of(self.where, self.column))

    @cached_property
    def _items(self) -> dict[str, Item]:
        items = [item for item, _ in self._source]
        return dict(zip(names_of(items), items, strict=True))

    def item(self, place: int) -> Item | None:
        """Return an image, or None if it is missing."""
        name = self.images[place]["file"]
        path = Path(self.where) / name
        if not self.embedded and path.is_file():
            return File(path, name)
        try:
            return self._items.get(name)
        except UserError:
            return None

    def state(self, place: int) -> str | None:
        """Return how an image differs from what it was, or None."""
        item = self.item(place)
        if item is None:
            return "missing"
        return None if item.digest() == self.images[place]["sha256"] else "changed"

    def take(self, places: Sequence[int]) -> list[Item]:
        """Return images as they were when the run began; raise `UserError` for any that is not."""
        items = []
        for place in places:
            state = None if self.embedded else self.state(place)
            if state is not None:
                raise UserError(
                    f"the image '{Path(self.where) / self.images[place]['file']}' is {state} since "
                    f"the run began, which still needs it: put it back, or start a new run"
                )
            item = self.item(place)
            assert item is not None
            items.append(item)
        return items

    def order(self, seed: int, generation: int) -> list[int]:
        """Return the places of the images that are drawn for a generation."""
        captions = [row["text"] for row in self.images]
        return real_images.order(captions, seed, generation)[: self.size]

    def change(self) -> str | None:
        """Describe the change of the data set since the run began, or return None."""
        if self.embedded:
            return None
        try:
            count, listing = len(self._source), digest_of_listing(self._source)
        except UserError as error:
            return f"cannot be read any more ({error})"
        for place in range(len(self.images)):
            state = self.state(place)
            if state is not None:
                return f"has changed ('{self.images[place]['file']}' is {state})"
        if count != self.count:
            return f"has changed ({count} images, where there were {self.count})"
        return None if listing == self.listing else "has changed (names or captions are others)"


def names_of(items: Sequence[Item]) -> list[str]:
    """Return names of images that do not depend on where their folder is."""
    return [
        f"{index:07d}" if isinstance(item, Image.Image) else item.name
        for index, item in enumerate(items)
    ]


def digest_of_listing(pairs: Sequence[tuple[Item, str]]) -> str:
    """Return a digest of the names and captions of a whole data set."""
    digest = hashlib.sha256()
    names = names_of([item for item, _ in pairs])
    for name, (_, caption) in zip(names, pairs, strict=True):
        digest.update(f"{name}\0{caption}\0".encode(errors="surrogatepass"))
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Return the digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
