"""The folder of a run: whose it is, whether it is free, and whether it is as it was left."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from empirical import files, processes, provenance
from empirical.errors import UserError
from empirical.recipe import Recipe, dump, read
from empirical.record import Generation, Run


def must_be_free(folder: Path, recipe: Recipe) -> None:
    """Raise `UserError` where the folder belongs to anything but a run of this very recipe."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file, where the run wants a folder")
    if not folder.exists() or not files.visible(folder, "*"):
        return
    if not (folder / "recipe.toml").is_file():
        raise UserError(f"the folder '{folder}' is not empty and holds no run; name another one")
    theirs, ours = _flat(read(folder / "recipe.toml")), _flat(recipe)
    differing = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
    if differing:
        said = ", ".join(
            f"'{k}' is {theirs.get(k)!r} there and {ours.get(k)!r} here" for k in differing
        )
        raise UserError(f"the folder '{folder}' holds a run of another recipe: {said}")


def must_have_room(folder: Path, needed: int) -> None:
    """Raise `UserError` where the disk cannot hold `needed` bytes, less what is there already."""
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = files.available(folder)
    if needed - held > free:
        raise UserError(
            f"the run '{folder}' may need {needed / 1e6:,.0f} MB, but its disk has "
            f"{free / 1e6:,.0f} MB free: lower 'data.size' or 'generations', or name another disk"
        )


def finish(generation: Generation, weights: Sequence[Path]) -> None:
    """Write ``done.json``, last of all: the digest of the recipe, of every image, of the captions,
    and of the weights, and which traits were measured."""
    images = [generation.folder / "images" / row["file_name"] for row in generation.metadata()]
    captions = generation.folder / "images" / "metadata.jsonl"
    files.write_json(
        generation.folder / "done.json",
        {
            "generation": generation.number,
            "recipe": _digest(generation.folder.parent / "recipe.toml"),
            "files": {
                path.relative_to(generation.folder).as_posix(): _digest(path)
                for path in [*images, captions, *weights]
            },
            "features": generation.traits(),
        },
    )


def must_be_whole(chain: Run) -> None:
    """Raise `UserError` where a finished generation is not as it was left."""
    recipe = chain.folder / "recipe.toml"
    for number in range(chain.recipe.generations + 1):
        generation = chain.generation(number)
        if not generation.done:
            continue
        path = generation.folder / "done.json"
        try:
            done = json.loads(path.read_text(encoding="utf-8"))
            digests, made_by = done["files"], done["recipe"]
            features = [f"features/{name}.npy" for name in done.get("features", [])]
        except (OSError, ValueError, KeyError, TypeError):
            raise UserError(
                f"'{path}' is damaged: delete it to have the generation checked and made up for"
            ) from None
        if made_by != _digest(recipe):
            raise UserError(
                f"'{recipe}' has been edited since generation {number} was made: put it back as it "
                f"was, or start a new run"
            )
        # Of features only that they are there: measuring again may write them again.
        for name, digest in {**digests, **dict.fromkeys(features)}.items():
            lost = generation.folder / name
            state = "missing" if not lost.is_file() else "changed"
            if state == "missing" or (digest is not None and _digest(lost) != digest):
                raise UserError(
                    f"'{lost}' is {state} since generation {number} was finished: put it back, or "
                    f"delete it and '{path}' to have it made again"
                )


@contextmanager
def claimed(folder: Path, recipe: Recipe, device: str) -> Iterator[None]:
    """Hold the folder for this chain, and keep account of its sessions in provenance.json."""
    if not processes.is_main():
        processes.wait()
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is at work on the run '{folder}'") from None
    try:
        # First of all: it is what makes the folder a run that can be resumed.
        write_recipe(Run(folder), recipe)
        must_be_whole(Run(folder))
        path = folder / "provenance.json"
        sessions = files.read_json(path)["sessions"] if path.is_file() else []
        this = {
            **provenance.of_this_process(device),
            "processes": processes.count(),
            "started": provenance.now(),
            "ended": None,
        }
        files.write_json(path, {"sessions": [*sessions, this]})
        processes.wait()
        yield
        this["ended"] = provenance.now()
        files.write_json(path, {"sessions": [*sessions, this]})
    finally:
        lock.release()


def write_recipe(chain: Run, recipe: Recipe) -> None:
    """Write the recipe into a run's folder, where it is not yet."""
    if not (chain.folder / "recipe.toml").is_file():
        files.write_text(chain.folder / "recipe.toml", dump(recipe))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _flat(recipe: Recipe) -> dict[str, object]:
    flat: dict[str, object] = {}

    def visit(prefix: str, value: object) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                visit(f"{prefix}.{key}" if prefix else key, item)
        else:
            flat[prefix] = value

    visit("", recipe.model_dump())
    return flat
