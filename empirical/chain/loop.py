"""The Chain of Diffusion: learn the images of a generation, draw the next, measure, and again.

Life cycle of one generation: inherit (finetune on the images of the one before) -> select (guided
sampling) -> mutate (whatever noise the two add) -> sample N images. Generation 0 is the real data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from empirical import files, processes
from empirical.chain import folder
from empirical.data import recorded, training_set
from empirical.data.real_images import Population
from empirical.errors import UserError
from empirical.generator import sampling, trainable
from empirical.generator.diffusion import Advance, DiffusionGenerator, Generator, costs
from empirical.measuring.generation import measure
from empirical.measuring.traits import every_trait
from empirical.out_of_memory import explained, settings
from empirical.pipeline import model, truncation
from empirical.recipe import Recipe
from empirical.runs.record import Generation, Run
from empirical.seeds import seed_of

PROBES = 20
OnGeneration = Callable[[Generation], None]


@dataclass(frozen=True)
class Chain:
    """A recipe and the folder of its run: ``Chain(recipe, out).run()``."""

    recipe: Recipe
    folder: Path

    def run(self, advance: Advance = lambda count: None) -> Run:
        """Run the chain, or resume it; see `run`."""
        with explained(settings()):
            return run(self.recipe, Path(self.folder), advance)

    @property
    def work(self) -> int:
        """The work of the whole run, in image passes of the denoiser."""
        return work(self.recipe)


def run(
    recipe: Recipe,
    out: Path,
    advance: Advance = lambda count: None,
    *,
    base: model.Model | None = None,
    on_generation: OnGeneration = lambda generation: None,
) -> Run:
    """Run a chain of diffusion models, or resume one, into a folder.

    Everything that can be wrong with the recipe is found before the folder is made. Give the same
    recipe and folder again after an interruption, and the run ends with the same files; give it
    with more generations, and the run becomes the one that had so many from the start. `advance`
    is told the work as it is done, `work(recipe)` in all, and `on_generation` every generation once
    it is complete, those of an earlier session too. `base` is the recipe's model where it is loaded
    already. Where several processes are at work, as ``accelerate launch`` starts them, each calls
    this and does its share.
    """
    folder.must_be_free(out, recipe)
    if folder.is_complete(out, recipe):
        return _completed(recipe, out, advance, on_generation)
    if (out / "recipe.toml").is_file():
        folder.must_be_whole(Run(out))
    base = base or load(recipe)
    check(recipe, base)
    real = recorded.of_run(recipe, base.side, base.mode, out)
    truncation.warn(base, real.first().captions)
    folder.must_have_room(out, size(recipe, base))
    with folder.claimed(out, recipe, str(base.device)):
        if processes.is_main():
            real.keep(Run(out))
        generator = DiffusionGenerator(base, recipe.settled())
        try:
            return loop(
                generator,
                real.first(),
                real.held_out,
                recipe,
                out,
                advance,
                real.draw,
                on_generation,
            )
        finally:
            generator.forget()


def _completed(recipe: Recipe, out: Path, advance: Advance, on_generation: OnGeneration) -> Run:
    """Return a run that has every generation already; neither its model nor its data are needed."""
    chain = Run(out)
    folder.must_be_whole(chain)
    recorded.must_agree(chain, recipe)
    for number in range(recipe.generations + 1):
        advance(_work_of_generation(recipe, costs(recipe), number))
        on_generation(chain.generation(number))
    if processes.is_main() and not (out / "moments.csv").is_file():
        chain.rebuild_moments()
    processes.wait()
    return chain


def load(recipe: Recipe) -> model.Model:
    """Load the model of a recipe on this process's device."""
    table = recipe.settled().model
    return model.load(table.name, processes.device(), table.precision, table.compile)


def prepare(recipe: Recipe, base: model.Model) -> Population:
    """Find everything that can be wrong with a new recipe and its model, and return generation 0.

    Raises `UserError` that says what is wrong.
    """
    check(recipe, base)
    real = recorded.choose(recipe, base.side, base.mode).first()
    truncation.warn(base, real.captions)
    return real


def check(recipe: Recipe, base: model.Model) -> None:
    """Raise `UserError` for settings that do not go with each other or with the model."""
    settled = recipe.settled()
    sampling.prepare(base, settled.generate.sampler, settled.generate.steps)
    settled.generate.guidance.check(settled.generate.sampler)
    if settled.generate.guidance.weak is not None and settled.finetune.text_encoder:
        raise UserError(
            f"the guidance rule '{settled.generate.guidance.rule}' with a weaker model needs one "
            f"text encoder for both, but 'finetune.text_encoder' is true"
        )
    wanted = None if settled.remedy is None else settled.remedy.wanted()
    if wanted is not None and wanted not in every_trait():
        raise UserError(
            f"the remedy '{settled.remedy.name}' asks for the trait '{wanted}', measured are "
            f"{', '.join(every_trait())}"
        )


def loop(
    generator: Generator,
    real: Population,
    reference: np.ndarray | None,
    recipe: Recipe,
    out: Path,
    advance: Advance = lambda count: None,
    draw_real: Callable[..., Population] | None = None,
    on_generation: OnGeneration = lambda generation: None,
) -> Run:
    """Run the generations that are not done yet with anything that can fit and sample.

    `reference` are real images outside the chain, for the Fréchet distance; without them
    generation 0 takes their place. `draw_real(generation=t)` draws fresh real images, for the
    control chain; without it generation 0 is drawn again.
    """
    chain, settled = Run(out), recipe.settled()
    if processes.is_main():
        folder.write_recipe(chain, recipe)
    for number in range(recipe.generations + 1):
        generation = chain.generation(number)
        if generation.done:
            advance(_work_of_generation(recipe, generator.costs, number))
            on_generation(generation)
            continue
        if number == 0:
            generator.forget()
            write_images(generation, real)
        else:
            _learn(generator, chain, number, settled, advance, draw_real or (lambda **_: real))
            captions = _captions(chain.generation(0), number, settled)
            _draw_images(generator, generation, captions, settled, advance)
        _draw_probes(generator, generation, chain.generation(0).captions, settled, advance)
        if processes.is_main():
            measure(generator, chain, generation, reference, recipe.seed)
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
    each = costs(recipe)
    return sum(_work_of_generation(recipe, each, n) for n in range(recipe.generations + 1))


def size(recipe: Recipe, base: model.Model) -> int:
    """Return the bytes that a run may take on disk: images as PNG, their features, and weights."""
    pixels = base.side**2 * base.channels
    latents = 4 * int(np.prod(base.latent_shape))
    images = (recipe.data.size + probes(recipe)) * (pixels + latents)
    return (recipe.generations + 1) * (images + trainable.size(base, recipe.settled().finetune))


def _work_of_generation(recipe: Recipe, each: tuple[int, int], number: int) -> int:
    fit, image = each
    return probes(recipe) * image + (fit + recipe.data.size * image if number else 0)


def _learn(
    generator: Generator,
    chain: Run,
    number: int,
    recipe: Recipe,
    advance: Advance,
    draw_real: Callable[..., Population],
) -> None:
    if processes.is_main():
        training_set.write(chain, number, recipe, lambda t: draw_real(generation=t))
    processes.wait()
    parents = training_set.read(chain, number)
    generator.fit(parents, number, chain.generation(number).folder, advance)


def _captions(first: Generation, number: int, recipe: Recipe) -> list[str]:
    """Return the prompts of a generation: those of generation 0, or a sample of them."""
    captions = first.captions
    if recipe.data.prompts == "same":
        return captions
    draw = np.random.default_rng(seed_of("prompts", recipe.seed, number))
    return [captions[i] for i in draw.integers(len(captions), size=len(captions))]


def _draw_images(
    generator: Generator,
    generation: Generation,
    captions: list[str],
    recipe: Recipe,
    advance: Advance,
) -> None:
    """Draw the images of a generation, batch by batch; batches on disk are not drawn again."""
    seeds = [seed_of("image", recipe.seed, generation.number, i) for i in range(len(captions))]
    _draw(generator, generation.folder / "images", captions, seeds, recipe, advance)
    if processes.is_main():
        _write_metadata(generation, captions, seeds)
    processes.wait()


def _draw_probes(
    generator: Generator,
    generation: Generation,
    captions: list[str],
    recipe: Recipe,
    advance: Advance,
) -> None:
    """Draw a few images from prompts and seeds that are the same in every generation.

    The population itself takes fresh seeds each time: with the same noise again and again its
    sampling errors would add up instead of averaging out.
    """
    families = list(dict.fromkeys(captions))
    prompts = [families[i % len(families)] for i in range(probes(recipe))]
    seeds = [seed_of("probe", recipe.seed, i) for i in range(probes(recipe))]
    _draw(generator, generation.folder / "probes", prompts, seeds, recipe, advance)
    processes.wait()


def _draw(
    generator: Generator,
    where: Path,
    captions: list[str],
    seeds: list[int],
    recipe: Recipe,
    advance: Advance,
) -> None:
    """Draw images in batches, this process its share of them."""
    every = list(model.batches(len(captions), recipe.generate.batch_size))
    mine = processes.mine(every)
    for batch in every:
        if batch not in mine or all((where / _name(i)).is_file() for i in batch):
            advance(len(batch) * generator.costs[1])
            continue
        images = generator.sample([captions[i] for i in batch], [seeds[i] for i in batch], advance)
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
    """Return the files of what a generation has learnt."""
    weights = files.visible(generation.folder, "*/*.safetensors")
    return [path for path in weights if path.is_file()]


def probes(recipe: Recipe) -> int:
    """Return how many probe images each generation has."""
    return min(PROBES, recipe.data.size)


def _name(index: int) -> str:
    return f"{index:05d}.png"
