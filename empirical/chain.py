"""The Chain of Diffusion: learn the images of a generation, draw the next, measure, and again.

Life cycle of one generation: inherit (finetune on the images of the one before) -> select (guided
sampling) -> mutate (whatever noise the two add) -> sample N images. Generation 0 is the real data.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout

from empirical import data, files, metrics, model, provenance, sampling
from empirical.data import Population
from empirical.errors import UserError
from empirical.generator import Advance, DiffusionGenerator, Generator
from empirical.recipe import Recipe, dump, read
from empirical.records import Generation, Run
from empirical.seeds import seed_of
from empirical.traits import View, every_trait

PROBES = 20


def run(recipe: Recipe, folder: Path, advance: Advance = lambda count: None) -> Run:
    """Run a chain of diffusion models, or go on with one, into a folder.

    Everything that can be wrong with the recipe is found before the folder is made. Give the same
    recipe and folder again after an interruption, and the run ends with the same files. `advance`
    is told the work as it is done, `work(recipe)` in all.
    """
    _must_be_free(folder, recipe)
    base = model.load(recipe.model.name)
    real = data.real(recipe.data, base.side, base.mode, recipe.seed)
    sampling.prepare(base, recipe.generate.sampler, recipe.generate.steps)
    _must_have_room(folder, recipe, base)
    with _claimed(folder, recipe, str(base.device)):
        generator = DiffusionGenerator(base, recipe)
        return loop(generator, real, data.reference(recipe.data), recipe, folder, advance)


def loop(
    generator: Generator,
    real: Population,
    reference: np.ndarray | None,
    recipe: Recipe,
    folder: Path,
    advance: Advance = lambda count: None,
) -> Run:
    """Run the generations that are not done yet with anything that can fit and sample.

    `reference` are real images outside the chain, for the Fréchet distance; without them
    generation 0 takes their place.
    """
    chain = Run(folder)
    _write_recipe(chain, recipe)
    for number in range(recipe.generations + 1):
        generation = chain.generation(number)
        if generation.done:
            advance(_work_of_generation(recipe, generator.costs, number))
            continue
        if number == 0:
            generator.forget()
            _write_images(generation, real, [None] * len(real))
        else:
            before = chain.generation(number - 1)
            parents = Population(before.images(), tuple(before.captions))
            generator.fit(parents, number, generation.folder, advance)
            _draw_images(generator, generation, tuple(before.captions), recipe, advance)
        _draw_probes(generator, generation, recipe, advance)
        _measure(generator, chain, generation, reference)
        files.sweep(generation.folder)
        files.write_json(generation.folder / "done.json", _digest(generation))
        chain.rebuild_moments()
    # A process may have been killed between the last done.json and its moments.
    chain.rebuild_moments()
    return chain


def work(recipe: Recipe) -> int:
    """Return the work of a whole run, in image passes of the denoiser."""
    finetuning = 3 * recipe.finetune.steps * recipe.finetune.batch_size
    costs = (finetuning, recipe.generate.steps)
    return sum(_work_of_generation(recipe, costs, n) for n in range(recipe.generations + 1))


def _work_of_generation(recipe: Recipe, costs: tuple[int, int], number: int) -> int:
    fit, image = costs
    return PROBES * image + (fit + recipe.data.size * image if number else 0)


def _draw_images(
    generator: Generator,
    generation: Generation,
    captions: tuple[str, ...],
    recipe: Recipe,
    advance: Advance,
) -> None:
    """Draw the images of a generation, batch by batch; batches on disk are not drawn again."""
    folder, number = generation.folder / "images", generation.number
    seeds = [seed_of("image", recipe.seed, number, i) for i in range(len(captions))]
    for batch in model.batches(len(captions), recipe.generate.batch_size):
        if all((folder / _name(i)).is_file() for i in batch):
            advance(len(batch) * generator.costs[1])
            continue
        images = generator.sample([captions[i] for i in batch], [seeds[i] for i in batch], advance)
        for i, pixels in zip(batch, images, strict=True):
            files.write_image(folder / _name(i), pixels)
    _write_metadata(generation, captions, seeds)


def _draw_probes(
    generator: Generator, generation: Generation, recipe: Recipe, advance: Advance
) -> None:
    """Draw a few images from prompts and seeds that are the same in every generation.

    The population itself takes fresh seeds each time: with the same noise again and again its
    sampling errors would add up instead of averaging out.
    """
    families = list(dict.fromkeys(generation.captions))
    prompts = [families[i % len(families)] for i in range(PROBES)]
    seeds = [seed_of("probe", recipe.seed, i) for i in range(PROBES)]
    for batch in model.batches(PROBES, recipe.generate.batch_size):
        images = generator.sample([prompts[i] for i in batch], [seeds[i] for i in batch], advance)
        for i, pixels in zip(batch, images, strict=True):
            files.write_image(generation.folder / "probes" / _name(i), pixels)


def _write_images(generation: Generation, real: Population, seeds: list[None]) -> None:
    for i, pixels in enumerate(real.images):
        files.write_image(generation.folder / "images" / _name(i), pixels)
    _write_metadata(generation, real.captions, seeds)


def _write_metadata(
    generation: Generation, captions: tuple[str, ...], seeds: list[int] | list[None]
) -> None:
    files.write_json_lines(
        generation.folder / "images" / "metadata.jsonl",
        (
            {"file_name": _name(i), "text": caption, "generation": generation.number, "seed": seed}
            for i, (caption, seed) in enumerate(zip(captions, seeds, strict=True))
        ),
    )


def _measure(
    generator: Generator, chain: Run, generation: Generation, reference: np.ndarray | None
) -> None:
    """Measure every trait on the images as they lie on disk, and the generation as a whole."""
    initial = chain.generation(0)
    view = View(
        generation.images(),
        generator.encode,
        generator.judge,
        initial.trait if generation.number else None,
    )
    for name in every_trait():
        values = view.trait(name)
        if values is not None:
            files.write_array(generation.folder / "features" / f"{name}.npy", values)
    captions = generation.captions
    features = "latent_pc" if view.judged is None else "classifier"
    measured, real = view.trait(features), view.first(features)
    assert measured is not None
    assert real is not None
    compared = "generation 0"
    if view.judged is not None and reference is not None and generator.judge is not None:
        real, compared = generator.judge.look(reference)[0], "held-out real images"
    accuracy, diversity = None, metrics.diversity(measured, captions)
    judge, judged = generator.judge, view.judged
    if judge is not None and judged is not None and set(captions) <= set(judge.classes):
        accuracy = metrics.accuracy(judged[1], captions)
    files.write_json(
        generation.folder / "metrics.json",
        {
            "accuracy": accuracy,
            "frechet": metrics.frechet(measured, real),
            "diversity": diversity if math.isfinite(diversity) else None,
            "features": features,
            "reference": compared,
        },
    )


def _digest(generation: Generation) -> dict[str, int | str]:
    digest = hashlib.sha256()
    names = [row["file_name"] for row in generation.metadata()]
    for name in names:
        digest.update((generation.folder / "images" / name).read_bytes())
    return {
        "generation": generation.number,
        "images": len(names),
        "sha256_of_images": digest.hexdigest(),
    }


def _must_be_free(folder: Path, recipe: Recipe) -> None:
    """Raise `UserError` where the folder belongs to anything but a run of this very recipe."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"'{folder}' is a file, where the run wants a folder")
    if not folder.exists() or all(p.name.startswith(".") for p in folder.iterdir()):
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


def _must_have_room(folder: Path, recipe: Recipe, base: model.Model) -> None:
    """Raise `UserError` where the disk cannot hold the run: images as PNG, and their features."""
    pixels = base.side**2 * base.channels
    latents = 4 * int(np.prod(base.latent_shape))
    needed = (recipe.generations + 1) * (recipe.data.size + PROBES) * (pixels + latents)
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = files.available(folder)
    if needed - held > free:
        raise UserError(
            f"the run '{folder}' may need {needed / 1e6:,.0f} MB, but its disk has "
            f"{free / 1e6:,.0f} MB free: lower 'data.size' or 'generations', or name another disk"
        )


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


@contextmanager
def _claimed(folder: Path, recipe: Recipe, device: str) -> Iterator[None]:
    """Hold the folder for this process, and keep account of its sessions in provenance.json."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(f"another process is at work on the run '{folder}'") from None
    try:
        # First of all: it is what makes the folder a run that can be resumed.
        _write_recipe(Run(folder), recipe)
        path = folder / "provenance.json"
        sessions = json.loads(path.read_text())["sessions"] if path.is_file() else []
        this = {**provenance.of_this_process(device), "started": provenance.now(), "ended": None}
        files.write_json(path, {"sessions": [*sessions, this]})
        yield
        this["ended"] = provenance.now()
        files.write_json(path, {"sessions": [*sessions, this]})
    finally:
        lock.release()


def _write_recipe(chain: Run, recipe: Recipe) -> None:
    if not (chain.folder / "recipe.toml").is_file():
        files.write_text(chain.folder / "recipe.toml", dump(recipe))


def _name(index: int) -> str:
    return f"{index:05d}.png"
