"""The real images of a run: chosen and recorded once, the same in every later session.

At its start a run writes ``data.json``: of every image that it takes, or that a later draw may
take, the name, the caption and a digest. Held-out images go into ``held_out/``. So a run depends on
its folder of photos no longer than it has to, and a change there does not change the run.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from empirical import embedded, files
from empirical.data import copies, real_images
from empirical.data.data_set import DataSet, digest_of_listing, names_of, sha256
from empirical.data.real_images import Population
from empirical.errors import UserError
from empirical.measuring import metrics
from empirical.recipe import DataTable, Settings
from empirical.runs.record import Run

DATA, HELD_OUT = "data.json", "held_out"


@dataclass(frozen=True)
class RealData:
    """The real images of one run.

    `first()` are those of generation 0, `draw(generation)` those that the control chain learns
    from, `held_out` [n, side, side, channels] those that no generation learns from, or None.
    """

    first: Callable[[], Population]
    draw: Callable[[int], Population]
    held_out: UInt8[np.ndarray, "n side side c"] | None
    _record: dict[str, Any] | None = None

    def keep(self, run: Run) -> None:
        """Write ``held_out/`` and, last, ``data.json``, where the run has none yet."""
        if self._record is None or (run.folder / DATA).is_file():
            return
        digests = {}
        # The reference of an embedded set is there wherever the run is read.
        packaged = embedded.are_embedded([table["name"] for table in self._record["sets"]])
        for i, pixels in enumerate([] if packaged or self.held_out is None else self.held_out):
            name = f"{HELD_OUT}/{i:05d}.png"
            files.write_image(run.folder / name, pixels)
            digests[name] = sha256(run.folder / name)
        files.write_json(run.folder / DATA, {**self._record, "held_out": digests})


def choose(settings: Settings, side: int, mode: str) -> RealData:
    """Choose the real images of a new run from its data sets.

    Raises `UserError` where there are too few, or one is broken.
    """
    sets = _chosen(settings)
    copies.note(sets)
    first = _population(settings, [(each, each.chosen) for each in sets], side, mode)
    return RealData(
        lambda: first,
        lambda generation: _draw(settings, sets, generation, side, mode),
        _held_out(settings, sets, side, mode),
        {"version": 1, "sets": [each.row() for each in sets]},
    )


def of_run(settings: Settings, side: int, mode: str, out: Path) -> RealData:
    """Return the real images of the run in a folder, or choose them where there is none yet.

    Raises `UserError` where images that the run still needs are gone or changed, or where the
    recipe names another folder whose images are others. Warns of changes that do not matter.
    """
    run = Run(out)
    if (out / DATA).is_file():
        return _resumed(run, settings, side, mode)
    if (out / "gen_000" / "images" / "metadata.jsonl").is_file():
        return _adopted(run, settings, side, mode)
    return choose(settings, side, mode)


def require_agreement(run: Run, settings: Settings) -> None:
    """Raise `UserError` where a recipe names other folders than a run was begun with, and their
    images are not the same. Nothing is compared where the names are the same."""
    begun = _names(run)
    if begun == settings.data.names:
        return
    if (run.folder / DATA).is_file():
        for each in _recorded(run, settings):
            _require_same_images(run, each)
        return
    _, side, _, channels = run.generation(0).images([0]).shape
    reason = _disagreement(run, settings, side, "L" if channels == 1 else "RGB")
    if reason is not None:
        raise UserError(_another(run, settings.data, reason))


def held_out(run: Run) -> UInt8[np.ndarray, "n side side c"] | None:
    """Return the held-out images of a run [n, side, side, channels], where there are any.

    Warns where they are not in the run, and its data sets are not as they were any more.
    """
    settings = run.recipe.settings
    if (run.folder / DATA).is_file() and not embedded.are_embedded(settings.data.names):
        return _stored(run)
    _, side, _, channels = run.generation(0).images([0]).shape
    mode = "L" if channels == 1 else "RGB"
    if not embedded.are_embedded(settings.data.names):
        reason = _disagreement(run, settings, side, mode)
        if reason is not None and not _compared_with_held_out(run):
            return None
        if reason is not None:
            warnings.warn(
                f"the run '{run.folder}' is measured without held-out real images: {reason}",
                stacklevel=2,
            )
            return None
    return real_images.held_out(settings, side, mode)


def digests(run: Run) -> dict[str, str]:
    """Return the digests of the held-out images in a run by their names below its folder."""
    path = run.folder / DATA
    if not path.is_file():
        return {}
    content = files.read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("held_out"), dict):
        raise UserError(f"'{path}' is damaged: delete it to have the images compared again")
    return content["held_out"]


def _chosen(settings: Settings) -> list[DataSet]:
    """Look through the data sets of a recipe and choose as `data.real` does."""
    draws_again = settings.finetune.training_set == "real"
    sets = []
    for name, (size, pairs) in zip(
        settings.data.names, real_images.listed(settings.data), strict=True
    ):
        pairs = list(pairs)
        captions = [caption for _, caption in pairs]
        order = real_images.order(captions, settings.seed)[: 2 * size]
        inside = embedded.is_embedded(name)
        if inside or draws_again:
            needed, chosen = range(len(pairs)), order[:size]
            spare = order[size:]
        else:
            needed, chosen, spare = order, range(size), range(size, len(order))
        names = names_of([item for item, _ in pairs])
        rows = tuple(
            {
                "file": names[i],
                "text": captions[i],
                "sha256": "" if inside else pairs[i][0].digest(),
            }
            for i in needed
        )
        data_set = DataSet(
            name,
            size,
            len(pairs),
            digest_of_listing(pairs),
            rows,
            tuple(chosen),
            tuple(spare),
            name,
            settings.data.caption_column,
            inside,
        )
        data_set.__dict__["_source"] = pairs
        sets.append(data_set)
    return sets


def _held_out(
    settings: Settings, sets: Sequence[DataSet], side: int, mode: str
) -> UInt8[np.ndarray, "n {side} {side} c"] | None:
    """Return what `data.held_out` does, from data sets that were looked through already."""
    if embedded.are_embedded(settings.data.names):
        return real_images.held_out(settings, side, mode)
    spare = [(each, each.held_out) for each in sets]
    draws_again = settings.finetune.training_set == "real"
    if draws_again or not any(places for _, places in spare):
        return None
    return _population(settings, spare, side, mode).images


def _draw(
    settings: Settings, sets: Sequence[DataSet], generation: int, side: int, mode: str
) -> Population:
    """Draw the real images of a generation, as `data.real` does."""
    drawn = [(each, each.order(settings.seed, generation)) for each in sets]
    return _population(settings, drawn, side, mode)


def _population(
    settings: Settings, taken: Sequence[tuple[DataSet, Sequence[int]]], side: int, mode: str
) -> Population:
    """Read the images at some places of each data set."""
    items = [item for each, places in taken for item in each.take(places)]
    captions = (each.images[place]["text"] for each, places in taken for place in places)
    return Population(real_images.pixels(settings.data, items, side, mode), tuple(captions))


def _resumed(run: Run, settings: Settings, side: int, mode: str) -> RealData:
    sets, first = _recorded(run, settings), run.generation(0)
    if _names(run) != settings.data.names:
        for each in sets:
            _require_same_images(run, each)
    for each, places in zip(sets, _needed(run, settings, sets), strict=True):
        if not each.embedded:
            each.take(places)
    for each in sets:
        change = each.change()
        if change is not None:
            warnings.warn(
                f"the data '{each.where}' {change}: the run '{run.folder}' keeps the images "
                f"that it began with",
                stacklevel=2,
            )

    @cache
    def of_generation_0() -> Population:
        if first.done:
            return Population(first.images(), tuple(first.captions))
        return _population(settings, [(each, each.chosen) for each in sets], side, mode)

    return RealData(
        of_generation_0,
        lambda generation: _draw(settings, sets, generation, side, mode),
        real_images.held_out(settings, side, mode)
        if embedded.are_embedded(settings.data.names)
        else _stored(run),
    )


def _needed(run: Run, settings: Settings, sets: Sequence[DataSet]) -> list[list[int]]:
    """Return for each data set the images that are still to be read."""
    needed = [[] if run.generation(0).done else list(each.chosen) for each in sets]
    for number in _draws_left(run, settings):
        for places, each in zip(needed, sets, strict=True):
            places += each.order(settings.seed, number)
    return [sorted(set(places)) for places in needed]


def _draws_left(run: Run, settings: Settings) -> list[int]:
    """Return the generations whose training sets are still to be drawn from real images."""
    if settings.finetune.training_set != "real":
        return []
    generations = (run.generation(number) for number in range(1, settings.generations + 1))
    return [g.number for g in generations if not (g.folder / "training.jsonl").is_file()]


def _adopted(run: Run, settings: Settings, side: int, mode: str) -> RealData:
    """Return the real images of a run of a version that did not record them."""
    first = run.generation(0)
    reason = _disagreement(run, settings, side, mode)
    if reason is None:
        return choose(settings, side, mode)
    if settings.data.names != _names(run):
        raise UserError(_another(run, settings.data, reason))
    if not first.done:
        needed = "the images of generation 0"
    elif _draws_left(run, settings):
        needed = "further real images to learn from"
    elif _compared_with_held_out(run):
        needed = "the held-out images that its generations are compared with"
    else:
        warnings.warn(
            f"the run '{run.folder}' keeps the images that it began with: {reason}",
            stacklevel=2,
        )
        population = Population(first.images(), tuple(first.captions))
        return RealData(lambda: population, lambda generation: population, None)
    raise UserError(
        f"the run '{run.folder}' still needs {needed}, but {reason}: put its data back as they "
        f"were, or start a new run"
    )


def _compared_with_held_out(run: Run) -> bool:
    """Return whether generation 0 was compared with held-out images."""
    return run.generation(0).metrics().get("reference") == metrics.HELD_OUT


def _disagreement(run: Run, settings: Settings, side: int, mode: str) -> str | None:
    """Return why the data of a recipe differ from generation 0 of a run, or None."""
    try:
        real = real_images.real(settings.data, side, mode, settings.seed)
    except UserError as error:
        return str(error)
    first = run.generation(0)
    rows = first.metadata()
    named = ", ".join(f"'{name}'" for name in settings.data.names)
    if [row["text"] for row in rows] != list(real.captions):
        return f"the captions that {named} gives now are not those of '{first.folder}'"
    for row, pixels in zip(rows, real.images, strict=True):
        path = first.folder / "images" / row["file_name"]
        if (first.done or path.is_file()) and not np.array_equal(files.read_image(path), pixels):
            return f"the images that {named} gives now are not those of '{first.folder}'"
    return None


def _recorded(run: Run, settings: Settings) -> list[DataSet]:
    """Read ``data.json``; images are looked for where the recipe says that they are now."""
    try:
        rows = files.read_json(run.folder / DATA)["sets"]
        sets = [
            DataSet(
                row["name"],
                row["size"],
                row.get("count", 0),
                row.get("listing", ""),
                tuple(row.get("images", [])),
                tuple(row.get("chosen", [])),
                tuple(row.get("held_out", [])),
                where,
                settings.data.caption_column,
                row["embedded"],
            )
            for row, where in zip(rows, settings.data.names, strict=True)
        ]
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"'{run.folder / DATA}' is damaged: delete it to have the images compared again"
        ) from error
    return [
        _of_the_package(each.name, each.size, settings.seed) if each.embedded else each
        for each in sets
    ]


def _of_the_package(name: str, size: int, seed: int) -> DataSet:
    """Return an embedded data set, which ``data.json`` does not list."""
    pairs = real_images.source_of(name)
    names = names_of([item for item, _ in pairs])
    rows = tuple(
        {"file": file, "text": text, "sha256": ""}
        for file, (_, text) in zip(names, pairs, strict=True)
    )
    order = real_images.order([text for _, text in pairs], seed)
    chosen, spare = tuple(order[:size]), tuple(order[size : 2 * size])
    return DataSet(name, size, len(pairs), "", rows, chosen, spare, name, embedded=True)


def _require_same_images(run: Run, each: DataSet) -> None:
    for place in range(0 if each.embedded else len(each.images)):
        state = each.state(place)
        if state is not None:
            name = each.images[place]["file"]
            reason = f"'{name}' is {state} in '{each.where}', of what '{each.name}' held"
            raise UserError(_another(run, DataTable(name=each.where), reason))


def _another(run: Run, table: DataTable, reason: str) -> str:
    return (
        f"the run '{run.folder}' was begun with the data {_listed(_names(run))}, and those of "
        f"{_listed(table.names)} are not the same: {reason}"
    )


def _names(run: Run) -> list[str]:
    return run.recipe.data.names


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _stored(run: Run) -> UInt8[np.ndarray, "n side side c"] | None:
    names = digests(run)
    return np.stack([files.read_image(run.folder / name) for name in names]) if names else None
