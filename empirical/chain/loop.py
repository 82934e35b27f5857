"""The Chain of Diffusion: learn the images of a generation, draw the next, measure, and again.

Life cycle of one generation: inherit (finetune on the previous images) -> select (guided sampling)
-> mutate (the noise that both add) -> sample N images. Generation 0 is the real data.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from empirical import files, processes
from empirical.chain import drawing, extra_draws, folder
from empirical.data import real_images, recorded, training_set
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
        return work(self.recipe, Path(self.folder))


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
    done, `work(recipe, out)` in total, and `on_generation` every generation once it is complete,
    those of earlier sessions too. `base` is the recipe's model if already loaded. With several
    processes, as ``accelerate launch`` starts them, each calls this and does its part.
    """
    folder.require_unclaimed(out, recipe)
    if folder.is_complete(out, recipe):
        return _completed(recipe, out, progress, on_generation)
    recipe = resolved(recipe, out)
    prepared = prepare(recipe, out, base)
    folder.require_room(out, prepared.disk)
    real = prepared.real
    with folder.claimed(out, recipe, str(prepared.base.device), prepared.warnings):
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
            generator.unload()


def _completed(recipe: Recipe, out: Path, progress: Progress, on_generation: OnGeneration) -> Run:
    """Return a complete run; neither its model nor its data are needed."""
    chain = Run(out)
    folder.verify(chain)
    settings = resolved(recipe, out).settings
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
    return model.load(
        table.name, processes.device(), table.precision, table.compile, table.reproducible
    )


@dataclass(frozen=True)
class Prepared:
    """Settings, model and real images of a run, before it begins or is resumed; and the `warnings`
    about its captions."""

    settings: Settings
    base: model.Model
    real: RealData
    warnings: tuple[str, ...] = ()

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
    settings, base = resolved(recipe, out).settings, base or load(recipe)
    check(settings, base)
    real = recorded.of_run(settings, base.side, base.mode, out)
    return Prepared(settings, base, real, _warn_of_captions(base, real.first().captions))


def _warn_of_captions(base: model.Model, captions: Sequence[str]) -> tuple[str, ...]:
    """Warn of captions that the model truncates or does not distinguish; return these warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        truncation.warn(base, captions)
    for each in caught:
        warnings.warn(each.message, each.category, stacklevel=3)
    return tuple(str(each.message) for each in caught if each.category is UserWarning)


def check(settings: Settings, base: model.Model) -> None:
    """Raise `UserError` for settings that contradict each other or the model."""
    sampling.prepare(base, settings.generate.sampler, settings.generate.steps)
    settings.generate.guidance.check(settings.generate.sampler)
    if settings.generate.guidance.weak is not None and settings.finetune.text_encoder:
        raise UserError(
            f"the guidance rule '{settings.generate.guidance.rule}' with a weaker model needs one "
            f"text encoder for both, but 'finetune.text_encoder' is true"
        )
    trait = None if settings.remedy is None else settings.remedy.needed_trait()
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
    last: int | None = None,
) -> Run:
    """Run the generations that are not done yet with any `Generator`, all or up to the `last`.

    `reference` are real images outside the chain, for the Fréchet distance; by default generation 0
    takes their place. `draw_real(generation=t)` draws fresh real images, for the
    control chain; by default generation 0 is repeated.
    """
    chain, settings = Run(out), recipe.settings
    if processes.is_main():
        folder.write_recipe(chain, recipe)
    for number in range((recipe.generations if last is None else last) + 1):
        generation = chain.generation(number)
        if generation.done:
            progress(_work_of_generation(settings, generator.costs, number))
            on_generation(generation)
            continue
        if number == 0:
            generator.unload()
            drawing.write_images(generation, real)
        else:
            learn(generator, chain, number, settings, progress, draw_real or (lambda **_: real))
            captions = _captions(chain.generation(0), number, settings)
            drawing.draw_images(generator, generation, captions, settings, progress)
        drawing.draw_probes(generator, generation, chain.generation(0).captions, settings, progress)
        if processes.is_main():
            measure(generator, chain, generation, reference, settings.seed)
        processes.wait()
        extra_draws.measure(generator, chain, generation, settings, progress)
        if processes.is_main():
            files.sweep(generation.folder)
            folder.finish(generation, _weights(generation))
        processes.wait()
        on_generation(generation)
    if processes.is_main():
        chain.rebuild_moments()
    processes.wait()
    return chain


def resolved(recipe: Recipe, out: Path) -> Recipe:
    """Return the recipe with the number of replicates that it stands for, or, where there is a run
    in the folder, with what that run measures since it began."""
    path = out / "recipe.toml"
    table = Run(out).recipe.measure if path.is_file() else recipe.measure
    if table.replicates == "auto":
        table = table.resolved(real_images.captions(recipe.data, recipe.seed))
    return recipe.model_copy(update={"measure": table})


def work(recipe: Recipe, out: Path) -> int:
    """Return the work of a whole run, in image passes of the denoiser."""
    settings = resolved(recipe, out).settings
    cost = costs(settings)
    return sum(_work_of_generation(settings, cost, n) for n in range(recipe.generations + 1))


def size(settings: Settings, base: model.Model) -> int:
    """Return the bytes that a run may take on disk: images as PNG, their features, and weights."""
    pixels = base.side**2 * base.channels
    latents = 4 * int(np.prod(base.latent_shape))
    images = (settings.data.size + drawing.probes(settings)) * (pixels + latents)
    # Without `unguided_images` those of a draw are removed before the next.
    extra = sum(extra_draws.counts(settings, 1)) * (pixels + latents)
    return (settings.generations + 1) * (images + extra + trainable.size(base, settings.finetune))


def _work_of_generation(settings: Settings, cost: tuple[int, int], number: int) -> int:
    fit, image = cost
    drawn = drawing.probes(settings) + sum(extra_draws.counts(settings, number))
    return drawn * image + (fit + settings.data.size * image if number else 0)


def learn(
    generator: Generator,
    chain: Run,
    number: int,
    settings: Settings,
    progress: Progress,
    draw_real: Callable[..., Population],
) -> None:
    """Choose the training set of a generation, and finetune on it."""
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


def _weights(generation: Generation) -> list[Path]:
    """Return the files of the weights of a generation."""
    weights = files.visible(generation.folder, "*/*.safetensors")
    return [path for path in weights if path.is_file()]
