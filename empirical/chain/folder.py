"""The folder of a run: its recipe, its lock, and checks that it is free and unchanged."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import tomli_w

from empirical import claim, files, processes
from empirical.data import recorded
from empirical.errors import UserError
from empirical.recipe import MeasureTable, Recipe, differences, dump
from empirical.runs import provenance
from empirical.runs.record import Generation, Run


def require_unclaimed(folder: Path, recipe: Recipe) -> None:
    """Raise `UserError` unless the folder is empty or holds a run of this recipe."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file, where the run needs a folder")
    if not folder.exists() or not files.visible(folder, "*"):
        return
    if not (folder / "recipe.toml").is_file():
        raise UserError(f"the folder '{folder}' is not empty and holds no run; name another one")
    theirs = Run(folder).recipe
    differing = differences(theirs, recipe)
    if differing:
        raise UserError(
            f"the folder '{folder}' holds a run of another recipe: {', '.join(differing)}"
        )
    if theirs.generations > recipe.generations:
        raise UserError(
            f"the folder '{folder}' holds a run of {theirs.generations} generations, and "
            f"'generations' is {recipe.generations} here: a run can be lengthened, not shortened"
        )


def is_complete(folder: Path, recipe: Recipe) -> bool:
    """Return whether a folder holds every generation that a recipe asks for."""
    chain = Run(folder)
    return (folder / "recipe.toml").is_file() and all(
        chain.generation(number).done for number in range(recipe.generations + 1)
    )


def require_room(folder: Path, needed: int) -> None:
    """Raise `UserError` where the disk cannot hold `needed` bytes, less those of the folder."""
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = files.available(folder)
    if needed - held > free:
        raise UserError(
            f"the run '{folder}' may need {needed / 1e6:,.0f} MB, but its disk has "
            f"{free / 1e6:,.0f} MB free: lower 'data.size' or 'generations', or name another disk"
        )


def finish(generation: Generation, weights: Sequence[Path]) -> None:
    """Write ``done.json``, the last file of a generation: the digests of the recipe, of every
    image, of the captions and of the weights, and the names of the measured traits."""
    images = [generation.folder / "images" / row["file_name"] for row in generation.metadata()]
    captions = generation.folder / "images" / "metadata.jsonl"
    files.write_json(
        generation.folder / "done.json",
        {
            "generation": generation.number,
            "recipe": _digest_of_recipe(generation.folder.parent / "recipe.toml"),
            "files": {
                path.relative_to(generation.folder).as_posix(): _digest(path)
                for path in [*images, captions, *weights]
            },
            "features": generation.traits(),
            "draws": _draws(generation),
        },
    )


def measures_more(chain: Run, table: MeasureTable) -> None:
    """Record in a run's recipe, and in ``done.json`` of its generations, what it measures now."""
    path = chain.folder / "recipe.toml"
    rest = _MEASURE.sub("", path.read_text(encoding="utf-8")).rstrip("\n")
    text = tomli_w.dumps({"measure": table.model_dump()})
    files.write_text(path, f"{rest}\n\n{text}")
    for generation in chain.generations():
        done = generation.folder / "done.json"
        files.write_json(done, {**files.read_json(done), "draws": _draws(generation)})


def _draws(generation: Generation) -> dict[str, list[str]]:
    return {name: generation.draw(name).traits() for name in generation.draws()}


def verify(chain: Run) -> None:
    """Raise `UserError` where a finished generation, or a held-out image, has changed."""
    recipe = chain.folder / "recipe.toml"
    made_from = _known_digests(recipe)
    for number in range(chain.recipe.generations + 1):
        generation = chain.generation(number)
        if not generation.done:
            continue
        path = generation.folder / "done.json"
        try:
            done = json.loads(path.read_text(encoding="utf-8"))
            digests, made_by = done["files"], done["recipe"]
            features = [f"features/{name}.npy" for name in done.get("features", [])]
            for draw, names in done.get("draws", {}).items():
                features += [f"draws/{draw}/features/{name}.npy" for name in names]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(
                f"'{path}' is damaged: delete it to have the generation re-checked and completed"
            ) from None
        if made_by not in made_from:
            raise UserError(
                f"'{recipe}' has been edited since generation {number} was made: put it back as it "
                f"was, or start a new run"
            )
        # Features need only exist: measuring again may rewrite them.
        for name, digest in {**digests, **dict.fromkeys(features)}.items():
            stored = generation.folder / name
            state = "missing" if not stored.is_file() else "changed"
            if state == "missing" or (digest is not None and _digest(stored) != digest):
                raise UserError(
                    f"'{stored}' is {state} since generation {number} was finished: put it back, "
                    f"or delete it and '{path}' to have it made again"
                )
    for name, digest in recorded.digests(chain).items():
        stored = chain.folder / name
        state = "missing" if not stored.is_file() else "changed"
        if state == "missing" or _digest(stored) != digest:
            raise UserError(
                f"the held-out image '{stored}' is {state} since the run began: put it back, or "
                f"delete '{chain.folder / recorded.DATA}' to have all of them chosen again"
            )


@contextmanager
def claimed(
    folder: Path, recipe: Recipe, device: str, warnings: Sequence[str] = ()
) -> Iterator[None]:
    """Lock the folder for this chain, and record its sessions, with the warnings that each began
    with, in provenance.json."""
    if not processes.is_main():
        processes.wait()
        yield
        return
    with claim.claimed(folder, "run"):
        # The recipe comes first: it makes the folder a run that can be resumed.
        write_recipe(Run(folder), recipe)
        path = folder / "provenance.json"
        sessions = files.read_json(path)["sessions"] if path.is_file() else []
        session = {
            **provenance.of_this_process(device),
            "processes": processes.count(),
            "started": provenance.now(),
            "ended": None,
            "warnings": list(warnings),
        }
        files.write_json(path, {"sessions": [*sessions, session]})
        processes.wait()
        yield
        session["ended"] = provenance.now()
        files.write_json(path, {"sessions": [*sessions, session]})


def write_recipe(chain: Run, recipe: Recipe) -> None:
    """Write the recipe into a run's folder if missing; or the new number of generations if the
    run is to be lengthened."""
    path = chain.folder / "recipe.toml"
    if not path.is_file():
        files.write_text(path, dump(recipe))
    elif chain.recipe.generations < recipe.generations:
        # Every other character stays, so that the digest of the recipe stays.
        text = path.read_text(encoding="utf-8")
        files.write_text(path, _with_generations(text, recipe.generations))


_GENERATIONS = re.compile(r"^[ \t]*generations[ \t]*=.*\n?", re.MULTILINE)
_MEASURE = re.compile(r"\n?^\[measure\][ \t]*\n(?:(?!\[).*\n?)*", re.MULTILINE)


def _with_generations(text: str, count: int | None) -> str:
    """Return the text of a recipe with another number of generations, or without any."""
    line = "" if count is None else f"generations = {count}\n"
    rest = _GENERATIONS.sub("", text, count=1)
    return line + rest


def _digest_of_recipe(path: Path) -> str:
    """Return the digest of the part of a recipe that determines a generation."""
    text = _MEASURE.sub("", path.read_text(encoding="utf-8"))
    return hashlib.sha256(_with_generations(text, None).encode()).hexdigest()


def _known_digests(path: Path) -> set[str]:
    """Return every digest that a generation of this recipe may name.

    Earlier versions took the digest of the whole file, including the number of generations
    planned at that time.
    """
    text = path.read_text(encoding="utf-8")
    shorter = range(1, Run(path.parent).recipe.generations + 1)
    texts = [_with_generations(text, count) for count in shorter]
    of_files = {hashlib.sha256(each.encode()).hexdigest() for each in [text, *texts]}
    return {_digest_of_recipe(path), *of_files}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
