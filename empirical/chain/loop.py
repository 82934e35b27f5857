"""The Chain of Diffusion: learn the images of a generation, draw the next, measure, and again.

Life cycle of one generation: inherit (finetune on the previous images) -> select (guided sampling)
-> mutate (the noise that both add) -> sample N images. Generation 0 is the real data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from empirical import files, processes
from empirical.chain import folder
from empirical.data import recorded, training_set
from empirical.data.real_images import Population
from empirical.data.recorded import RealData
from empirical.errors import UserError
from empirical.generator import sampling, trainable
from empirical.generator.diffusion import DiffusionGenerator, Generator, costs
from empirical.measuring.generation import measure
from empirical.measuring.traits import every_trait
from empirical.out_of_memory import explained, settings
from empirical.pipeline import model, truncation
from empirical.progress import Progress, silent
from empirical.recipe import Recipe, Settings
from empirical.runs.record import Generation, Run
from empirical.seeds import seed_of

PROBES = 20
OnGeneration = Callable[[Generation], None]


@dataclass(frozen=True)
class Chain:
    """A recipe and the folder of its run: ``Chain(recipe, out).run()``."""

    recipe: Recipe
    folder: Path

    def run(self, progress: Progress = silent) -> Run:
        """Run the chain, or resume it; see `run`."""
        with explained(settings()):
            return run(self.recipe, Path(self.folder), progress)

    @property
    def work(self) -> int:
        """The work of the whole run, in image passes of the denoiser."""
        return work(self.recipe)


def run(
    recipe: Recipe,
    out: Path,
    progress: Progress = silent,
    *,
    base: model.Model | None = None,
    on_generation: OnGeneration = lambda generation: None,
) -> Run:
    """Run a chain of diffusion models, or resume one, into a folder.

    The recipe is checked completely before the folder is made. Called again after an interruption
    with the same recipe and folder, it ends with the same files; with more generations, the run
    becomes the one planned with that number from the start. `progress` receives the work as it is
    done, `work(recipe)` in total, and `on_generation` every generation once it is complete, those
    of earlier sessions too. `base` is the recipe's model if already loaded. With several processes,
    as ``accelerate launch`` starts them, each calls this and does its part.
    """
    folder.require_unclaimed(out, recipe)
    if folder.is_complete(out, recipe):
        return _completed(recipe, out, progress, on_generation)
    prepared = prepare(recipe, out, base)
    folder.require_room(out, prepared.disk)
    real = prepared.real
    with folder.claimed(out, recipe, str(prepared.base.device)):
        if processes.is_main():
            real.keep(Run(out))
        generator = DiffusionGenerator(prepared.base, recipe.settings)
        try:
            return loop(
                generator,
                real.first(),
                real.held_out,
                recipe,
                out,
                progress,
                real.draw,
                on_generation,
            )
        finally:
            generator.forget()


def _completed(recipe: Recipe, out: Path, progress: Progress, on_generation: OnGeneration) -> Run:
    """Return a complete run; neither its model nor its data are needed."""
    chain = Run(out)
    folder.verify(chain)
    settings = recipe.settings
    recorded.require_agreement(chain, settings)
    for number in range(recipe.generations + 1):
        progress(_work_of_generation(settings, costs(settings), number))
        on_generation(chain.generation(number))
    if processes.is_main() and not (out / "moments.csv").is_file():
        chain.rebuild_moments()
    processes.wait()
    return chain


def load(recipe: Recipe) -> model.Model:
    """Load the model of a recipe on this process's device."""
    table = recipe.settings.model
    return model.load(table.name, processes.device(), table.precision, table.compile)


@dataclass(frozen=True)
class Prepared:
    """Settings, model and real images of a run, before it begins or is resumed."""

    settings: Settings
    base: model.Model
    real: RealData

    @cached_property
    def disk(self) -> int:
        """The bytes that the run may take on disk."""
        return size(self.settings, self.base)


def prepare(recipe: Recipe, out: Path, base: model.Model | None = None) -> Prepared:
    """Check a run in the folder `out` completely, and load its model and real images.

    Nothing is written. `base` is the recipe's model if already loaded. Warns of captions that the
    model truncates. Raises `UserError` where the folder is taken or was changed, the settings
    contradict each other or the model, or images are missing.
    """
    folder.require_unclaimed(out, recipe)
    if (out / "recipe.toml").is_file():
        folder.verify(Run(out))
    settings, base = recipe.settings, base or load(recipe)
    check(settings, base)
    real = recorded.of_run(settings, base.side, base.mode, out)
    truncation.warn(base, real.first().captions)
    return Prepared(settings, base, real)


def check(settings: Settings, base: model.Model) -> None:
    """Raise `UserError` for settings that contradict each other or the model."""
    sampling.prepare(base, settings.generate.sampler, settings.generate.steps)
    settings.generate.guidance.check(settings.generate.sampler)
    if settings.generate.guidance.weak is not None and settings.finetune.text_encoder:
        raise UserError(
            f"the guidance rule '{settings.generate.guidance.rule}' with a weaker model needs one "
            f"text encoder for both, but 'finetune.text_encoder' is true"
        )
    trait = None if settings.remedy is None else settings.remedy.wanted()
    if trait is not None and trait not in every_trait():
        raise UserError(
            f"the remedy '{settings.remedy.name}' needs the trait '{trait}', but measured are "
            f"{', '.join(every_trait())}"
        )


def loop(
    generator: Generator,
    real: Population,
    reference: UInt8[np.ndarray, "n h w c"] | None,
    recipe: Recipe,
    out: Path,
    progress: Progress = silent,
    draw_real: Callable[..., Population] | None = None,
    on_generation: OnGeneration = lambda generation: None,
) -> Run:
    """Run the generations that are not done yet with any `Generator`.

    `reference` are real images outside the chain, for the Fréchet distance; by default generation 0
    takes their place. `draw_real(generation=t)` draws fresh real images, for the
    control chain; by default generation 0 is repeated.
    """
    chain, settings = Run(out), recipe.settings
    if processes.is_main():
        folder.write_recipe(chain, recipe)
    for number in range(recipe.generations + 1):
        generation = chain.generation(number)
        if generation.done:
            progress(_work_of_generation(settings, generator.costs, number))
            on_generation(generation)
            continue
        if number == 0:
            generator.forget()
            write_images(generation, real)
        else:
            _learn(generator, chain, number, settings, progress, draw_real or (lambda **_: real))
            captions = _captions(chain.generation(0), number, settings)
            _draw_images(generator, generation, captions, settings, progress)
        _draw_probes(generator, generation, chain.generation(0).captions, settings, progress)
        if processes.is_main():
            measure(generator, chain, generation, reference, settings.seed)
            files.sweep(generation.folder)
            folder.finish(generation, _weights(generation))
        processes.wait()
        on_generation(generation)
    if processes.is_main():
        chain.rebuild_moments()
    processes.wait()
    return chain


def work(recipe: Recipe) -> int:
    """Return the work of a whole run, in image passes of the denoiser."""
    settings = recipe.settings
    cost = costs(settings)
    return sum(_work_of_generation(settings, cost, n) for n in range(recipe.generations + 1))


def size(settings: Settings, base: model.Model) -> int:
    """Return the bytes that a run may take on disk: images as PNG, their features, and weights."""
    pixels = base.side**2 * base.channels
    latents = 4 * int(np.prod(base.latent_shape))
    images = (settings.data.size + probes(settings)) * (pixels + latents)
    return (settings.generations + 1) * (images + trainable.size(base, settings.finetune))


def _work_of_generation(settings: Settings, cost: tuple[int, int], number: int) -> int:
    fit, image = cost
    return probes(settings) * image + (fit + settings.data.size * image if number else 0)


def _learn(
    generator: Generator,
    chain: Run,
    number: int,
    settings: Settings,
    progress: Progress,
    draw_real: Callable[..., Population],
) -> None:
    if processes.is_main():
        training_set.write(chain, number, settings, lambda t: draw_real(generation=t))
    processes.wait()
    parents = training_set.read(chain, number)
    generator.fit(parents, number, chain.generation(number).folder, progress)


def _captions(first: Generation, number: int, settings: Settings) -> list[str]:
    """Return the prompts of a generation: those of generation 0, or a sample of them."""
    captions = first.captions
    if settings.data.prompts == "same":
        return captions
    draw = np.random.default_rng(seed_of("prompts", settings.seed, number))
    return [captions[i] for i in draw.integers(len(captions), size=len(captions))]


def _draw_images(
    generator: Generator,
    generation: Generation,
    captions: list[str],
    settings: Settings,
    progress: Progress,
) -> None:
    """Draw the images of a generation, batch by batch; batches on disk are not drawn again."""
    seeds = [seed_of("image", settings.seed, generation.number, i) for i in range(len(captions))]
    _draw(generator, generation.folder / "images", captions, seeds, settings, progress)
    if processes.is_main():
        _write_metadata(generation, captions, seeds)
    processes.wait()


def _draw_probes(
    generator: Generator,
    generation: Generation,
    captions: list[str],
    settings: Settings,
    progress: Progress,
) -> None:
    """Draw a few images from prompts and seeds that are the same in every generation.

    The population takes fresh seeds in each generation: with repeated noise its sampling errors
    would add up instead of averaging out.
    """
    families = list(dict.fromkeys(captions))
    prompts = [families[i % len(families)] for i in range(probes(settings))]
    seeds = [seed_of("probe", settings.seed, i) for i in range(probes(settings))]
    _draw(generator, generation.folder / "probes", prompts, seeds, settings, progress)
    processes.wait()


def _draw(
    generator: Generator,
    where: Path,
    captions: list[str],
    seeds: list[int],
    settings: Settings,
    progress: Progress,
) -> None:
    """Draw the batches of images that fall to this process."""
    every = list(model.batches(len(captions), settings.generate.batch_size))
    mine = processes.mine(every)
    for batch in every:
        if batch not in mine or all((where / _name(i)).is_file() for i in batch):
            progress(len(batch) * generator.costs[1])
            continue
        images = generator.sample([captions[i] for i in batch], [seeds[i] for i in batch], progress)
        for i, pixels in zip(batch, images, strict=True):
            files.write_image(where / _name(i), pixels)


def write_images(generation: Generation, real: Population) -> None:
    """Write real images, with their captions, as those of a generation."""
    if processes.is_main():
        for i, pixels in enumerate(real.images):
            files.write_image(generation.folder / "images" / _name(i), pixels)
        _write_metadata(generation, list(real.captions), [None] * len(real))
    processes.wait()


def _write_metadata(
    generation: Generation, captions: list[str], seeds: list[int] | list[None]
) -> None:
    files.write_json_lines(
        generation.folder / "images" / "metadata.jsonl",
        (
            {"file_name": _name(i), "text": caption, "generation": generation.number, "seed": seed}
            for i, (caption, seed) in enumerate(zip(captions, seeds, strict=True))
        ),
    )


def _weights(generation: Generation) -> list[Path]:
    """Return the files of the weights of a generation."""
    weights = files.visible(generation.folder, "*/*.safetensors")
    return [path for path in weights if path.is_file()]


def probes(settings: Settings) -> int:
    """Return the number of probe images of each generation."""
    return min(PROBES, settings.data.size)


def _name(index: int) -> str:
    return f"{index:05d}.png"
