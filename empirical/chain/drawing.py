"""Draw the images and the probes of a generation, batch by batch: none is drawn twice."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from empirical import files, processes
from empirical.data.real_images import Population
from empirical.generator.diffusion import Generator
from empirical.pipeline import model
from empirical.progress import Progress
from empirical.recipe import Settings
from empirical.runs.record import Generation
from empirical.runs.spacing import spaced
from empirical.seeds import seed_of

PROBES = 20


def draw_images(
    generator: Generator,
    generation: Generation,
    captions: list[str],
    settings: Settings,
    progress: Progress,
) -> None:
    """Draw the images of a generation, one for each caption."""
    seeds = image_seeds(settings, generation.number, len(captions))
    draw(generator, generation.folder / "images", captions, seeds, settings, progress)
    if processes.is_main():
        _write_metadata(generation, captions, seeds)
    processes.wait()


def image_seeds(settings: Settings, number: int, count: int) -> list[int]:
    """Return the seeds of the images of a generation."""
    return [seed_of("image", settings.seed, number, i) for i in range(count)]


def write_images(generation: Generation, real: Population) -> None:
    """Write real images, with their captions, as those of a generation."""
    if processes.is_main():
        for i, pixels in enumerate(real.images):
            files.write_image(generation.folder / "images" / _name(i), pixels)
        _write_metadata(generation, list(real.captions), [None] * len(real))
    processes.wait()


def draw_probes(
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
    count = probes(settings)
    prompts = probe_prompts(captions, count)
    seeds = [seed_of("probe", settings.seed, i) for i in range(count)]
    draw(generator, generation.folder / "probes", prompts, seeds, settings, progress)
    processes.wait()


def probe_prompts(captions: Sequence[str], count: int) -> list[str]:
    """Return `count` prompts in turn; of more prompts, which may lie in order of their subjects,
    evenly spaced ones."""
    families = list(dict.fromkeys(captions))
    return [families[place % len(families)] for place in spaced(len(families), count)]


def probes(settings: Settings) -> int:
    """Return the number of probe images of each generation."""
    return min(PROBES, settings.data.size)


def draw(
    generator: Generator,
    where: Path,
    captions: list[str],
    seeds: list[int],
    settings: Settings,
    progress: Progress,
    sample: Callable[..., UInt8[np.ndarray, "n h w c"]] | None = None,
) -> None:
    """Draw images into a folder, one for each caption and seed: the batches that fall to this
    process, except those that are on disk. `sample` is a way to draw other than the chain's own."""
    every = list(model.batches(len(captions), settings.generate.batch_size))
    mine = processes.mine(every)
    sample = sample or generator.sample
    for batch in every:
        if batch not in mine or all((where / _name(i)).is_file() for i in batch):
            progress(len(batch) * generator.costs[1])
            continue
        images = sample([captions[i] for i in batch], [seeds[i] for i in batch], progress)
        for i, pixels in zip(batch, images, strict=True):
            files.write_image(where / _name(i), pixels)


def read(where: Path, size: int) -> UInt8[np.ndarray, "n h w c"]:
    """Return images [n, height, width, channels] that `draw` has written."""
    return np.stack([files.read_image(where / _name(i)) for i in range(size)])


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


def _name(index: int) -> str:
    return f"{index:05d}.png"
