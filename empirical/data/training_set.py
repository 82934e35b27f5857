"""The training set of a generation: which images it learns from, and its pedigree on disk."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import UInt8

from empirical import files
from empirical.data.real_images import Population
from empirical.recipe import Settings
from empirical.runs.record import Generation, Run
from empirical.seeds import seed_of

Pedigree = list[dict[str, Any]]


def write(chain: Run, number: int, settings: Settings, fresh: Callable[[int], Population]) -> None:
    """Choose the training set of generation `number`, and write its pedigree if it is not there.

    ``gen_NNN/training.jsonl`` has one row for each image: the generation it came from (0 is real),
    its file below the run's folder, and its caption. `fresh(number)` draws new real images, for the
    control chain; they are kept in ``gen_NNN/fresh``. Order and choice depend on the chain's seed
    and the generation alone.
    """
    path = chain.generation(number).folder / "training.jsonl"
    if path.is_file():
        return
    if settings.finetune.training_set == "real":
        pedigree = _write_fresh(chain, number, fresh(number))
    else:
        pedigree = _choose(chain, number, settings)
    files.write_json_lines(path, pedigree)


def read(chain: Run, number: int) -> Population:
    """Return the training set of a generation, as its pedigree says."""
    rows = chain.generation(number).pedigree()
    images = [files.read_image(chain.folder / row["file_name"]) for row in rows]
    return Population(np.stack(images), tuple(row["text"] for row in rows))


def training_images_if_different(chain: Run, number: int) -> UInt8[np.ndarray, "n h w c"] | None:
    """Return the training images of a generation where its pedigree exists and they differ from
    the previous generation, else None."""
    path = chain.generation(number).folder / "training.jsonl"
    if not number or not path.is_file():
        return None
    names = sorted(row["file_name"] for row in chain.generation(number).pedigree())
    if names == sorted(row["file_name"] for row in _rows(chain.generation(number - 1))):
        return None
    return read(chain, number).images


def _choose(chain: Run, number: int, settings: Settings) -> Pedigree:
    draw = np.random.default_rng(seed_of("training set", settings.seed, number))
    before = _usable(chain.generation(number - 1), settings)
    earlier = [row for k in range(number - 1) for row in _usable(chain.generation(k), settings)]
    match settings.finetune.training_set:
        case "accumulate":
            return earlier + before
        case "accumulate-subsample":
            return _subset([*earlier, *before], settings.data.size, draw)
        case "mix" if number > 1:
            real = _rows(chain.generation(0))
            real_count = round(settings.finetune.real_fraction * len(before))
            mixed = _subset(real, real_count, draw)
            return mixed + _subset(before, len(before) - real_count, draw)
        case _:
            # Also the first mix: generation 0 is all real.
            return before


def _usable(generation: Generation, settings: Settings) -> Pedigree:
    """Return the rows of a generation that the remedy lets through; real images all are."""
    rows = _rows(generation)
    if settings.remedy is None or generation.number == 0:
        return rows
    kept = settings.remedy.kept(generation.trait, [row["text"] for row in rows])
    return rows if kept is None else [rows[i] for i in kept]


def _rows(generation: Generation) -> Pedigree:
    folder = f"{generation.folder.name}/images"
    return [
        {
            "generation": generation.number,
            "file_name": f"{folder}/{row['file_name']}",
            "text": row["text"],
        }
        for row in generation.metadata()
    ]


def _subset(rows: Pedigree, count: int, draw: np.random.Generator) -> Pedigree:
    """Draw rows without replacement, each family in proportion as far as whole numbers allow."""
    families: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        families.setdefault(row["text"], []).append(i)
    # Each row's place within its shuffled family, as a fraction of it: the first ones are drawn.
    place = np.empty(len(rows))
    for members in families.values():
        place[members] = (draw.permutation(len(members)) + draw.random()) / len(members)
    chosen = np.sort(np.argsort(place, kind="stable")[:count])
    return [rows[i] for i in chosen]


def _write_fresh(chain: Run, number: int, real: Population) -> Pedigree:
    folder = chain.generation(number).folder
    rows = []
    for i, (pixels, caption) in enumerate(zip(real.images, real.captions, strict=True)):
        path = folder / "fresh" / f"{i:05d}.png"
        files.write_image(path, pixels)
        name = path.relative_to(chain.folder).as_posix()
        rows.append({"generation": 0, "file_name": name, "text": caption})
    return rows
