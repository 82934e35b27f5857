"""Draw what a generation's model would make without guidance, and further images of each prompt.

These images are measured and change nothing that a chain learns.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from empirical import files, processes
from empirical.chain import drawing
from empirical.generator.diffusion import Generator
from empirical.guidance import Constant
from empirical.measuring import generation as measuring
from empirical.progress import Progress, silent
from empirical.recipe import Settings
from empirical.runs.draws import Draw, Measured, Name
from empirical.runs.record import Generation, Run
from empirical.seeds import seed_of


@dataclass(frozen=True)
class Planned:
    """Images of one generation that are only measured, one for each caption and seed; or those
    that they are equal to."""

    name: Name
    captions: list[str]
    seeds: list[int]
    copies: Measured | None = None


def counts(settings: Settings, number: int) -> tuple[int, int]:
    """Return how many images of a generation are drawn only to be measured: with the chain's
    guidance, and without."""
    table, size = settings.measure, settings.data.size
    guided = table.replicate_count * size if number else 0
    same = bool(number) and unguided_anyway(settings)
    return guided, (1 + table.replicate_count) * size * (table.unguided and not same)


def unguided_anyway(settings: Settings) -> bool:
    """Return whether the chain's own images are drawn at scale 1."""
    rule = settings.generate.guidance
    return isinstance(rule, Constant) and rule.scale == 1


def planned(generation: Generation, settings: Settings) -> Iterator[Planned]:
    """Return what is drawn of a generation only to be measured.

    Generation 0 stands for the base model, which is drawn without guidance: its images are real.
    """
    number, table = generation.number, settings.measure
    captions = generation.captions
    more = captions * table.replicate_count
    # Drawn at scale 1 anyway, images are their own unguided draw.
    same = bool(number) and unguided_anyway(settings)
    others = replicate_seeds(settings, number, len(more))
    if table.unguided:
        seeds = drawing.image_seeds(settings, number, len(captions))
        yield Planned("unguided", captions, seeds, generation if same else None)
    if number and more:
        yield Planned("replicate", more, others)
    if table.unguided and more:
        source = generation.draw("replicate") if same else None
        yield Planned("unguided_replicate", more, others, source)


def replicate_seeds(settings: Settings, number: int, count: int) -> list[int]:
    """Return the seeds of further images of the prompts of a generation."""
    return [seed_of("replicate", settings.seed, number, i) for i in range(count)]


def measure(
    generator: Generator,
    chain: Run,
    generation: Generation,
    settings: Settings,
    progress: Progress = silent,
) -> None:
    """Draw the images of a generation that are only measured, and measure them.

    The generator must have learnt the generation, and its own images must be measured.
    """
    if processes.is_main() and settings.measure.unguided:
        measure_fresh(generator, chain, generation)
    for plan in planned(generation, settings):
        draw, keep_images = generation.draw(plan.name), settings.measure.unguided_images
        if draw.complete or plan.copies is not None:
            progress(0 if plan.copies else len(plan.captions) * generator.costs[1])
        else:
            where, guided = draw.folder / "images", plan.name == "replicate"
            sample = generator.sample if guided else generator.sample_unguided
            drawing.draw(
                generator, where, plan.captions, plan.seeds, settings, progress, sample=sample
            )
            processes.wait()
        if processes.is_main() and not draw.complete:
            _finish(generator, chain, generation.number, draw, plan)
        if processes.is_main() and not keep_images:
            shutil.rmtree(draw.folder / "images", ignore_errors=True)
        processes.wait()


def _finish(generator: Generator, chain: Run, number: int, draw: Draw, plan: Planned) -> None:
    """Write the traits of a draw, and last its ``metadata.jsonl``."""
    if plan.copies is None:
        images = drawing.read(draw.folder / "images", len(plan.captions))
        measuring.measure_draw(generator, chain, draw, number, images)
    else:
        for name in plan.copies.traits():
            draw.write(name, plan.copies.trait(name))
    draw.finish(plan.captions, plan.seeds)


def measure_fresh(generator: Generator, chain: Run, generation: Generation) -> None:
    """Measure the newly drawn real images that a generation learnt from, if any."""
    draw = generation.draw("fresh")
    rows = [] if generation.number == 0 else generation.pedigree()
    rows = [row for row in rows if "/fresh/" in row["file_name"]]
    if rows and not draw.complete:
        images = np.stack([files.read_image(chain.folder / row["file_name"]) for row in rows])
        measuring.measure_draw(generator, chain, draw, generation.number, images)
        draw.finish([row["text"] for row in rows], [None] * len(rows))
