"""Images that were drawn only to be measured: without guidance, and further ones of each prompt.

They separate what a generation's model passes on from what guidance selects: the same model, with
the same prompts and seeds, is drawn at scale 1 and at the chain's scale. Generation 0's are those
of the base model, before any finetuning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
from jaxtyping import Float, Shaped

from empirical import files
from empirical.errors import UserError
from empirical.runs.moments import Replicates

# unguided: prompts and seeds of the generation's images, at scale 1. replicate: the prompts again,
# with other seeds; unguided_replicate: the same at scale 1. fresh: newly drawn real images that
# the generation learnt from.
Name = Literal["unguided", "replicate", "unguided_replicate", "fresh"]
NAMES: tuple[Name, ...] = get_args(Name)


@dataclass(frozen=True)
class Measured:
    """A folder with the traits of images: ``features/TRAIT.npy``."""

    folder: Path

    def traits(self) -> list[str]:
        """Return the names of the stored traits."""
        return sorted(path.stem for path in files.visible(self.folder / "features", "*.npy"))

    def trait(self, name: str) -> Float[np.ndarray, "n d"]:
        """Return one stored trait [n, components]."""
        path = self.folder / "features" / f"{name}.npy"
        if not path.is_file():
            raise UserError(
                f"'{self.folder}' holds no trait '{name}', it has {', '.join(self.traits())}"
            )
        return files.read_array(path)

    def write(self, name: str, values: Float[np.ndarray, "n d"]) -> None:
        """Store a trait [n, components]."""
        files.write_array(self.folder / "features" / f"{name}.npy", values)


@dataclass(frozen=True)
class Draw(Measured):
    """Images of one generation's model that were drawn only to be measured."""

    name: str

    @property
    def complete(self) -> bool:
        """Whether all of them are measured: ``metadata.jsonl`` is written last."""
        return (self.folder / "metadata.jsonl").is_file()

    def metadata(self) -> list[dict[str, Any]]:
        """Return one row for each image: text and seed."""
        return files.read_json_lines(self.folder / "metadata.jsonl")

    @property
    def captions(self) -> list[str]:
        """The prompt of each image."""
        return [row["text"] for row in self.metadata()]

    @property
    def seeds(self) -> list[int | None]:
        """The seed of each image; real ones have none."""
        return [row["seed"] for row in self.metadata()]

    def finish(self, captions: Sequence[str], seeds: Sequence[int | None]) -> None:
        """Write the file that is written last."""
        files.write_json_lines(
            self.folder / "metadata.jsonl",
            ({"text": text, "seed": seed} for text, seed in zip(captions, seeds, strict=True)),
        )


def replicates_of(draws: Sequence[Draw], of_base: bool = False) -> Replicates | None:
    """Return the images of draws as further images of their prompts; None without draws, or where
    one is not complete."""
    if not draws or not all(draw.complete for draw in draws):
        return None
    return Replicates(
        [caption for draw in draws for caption in draw.captions],
        lambda trait: np.concatenate([draw.trait(trait) for draw in draws]),
        of_base,
    )


class Generated(Protocol):
    """The measured images of a generation and its draws: of a run, or of a scan at one scale."""

    @property
    def number(self) -> int: ...

    @property
    def folder(self) -> Path: ...

    @property
    def captions(self) -> list[str]: ...

    def traits(self) -> list[str]: ...

    def trait(self, name: str) -> Shaped[np.ndarray, "n k"]: ...

    def replicates(self) -> Replicates | None: ...

    def draw(self, name: Name) -> Draw: ...

    def draws(self) -> list[Name]: ...
