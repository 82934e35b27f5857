"""Scan CFG scales: finetune once, and draw the model at several scales from the same noise.

The images of a generation at a scale are those that a chain at this scale has there: of the same
prompts and seeds. So one finetuned model gives the first generation of a chain at every scale.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from empirical import files, processes
from empirical.chain import drawing, extra_draws, folder, loop
from empirical.data import recorded, training_set
from empirical.errors import UserError
from empirical.generator.diffusion import DiffusionGenerator, costs
from empirical.guidance import Constant
from empirical.measuring import generation as measuring
from empirical.measuring import metrics, sources
from empirical.measuring.metrics import every_measure
from empirical.pipeline import model
from empirical.progress import Progress, silent
from empirical.recipe import Recipe, Settings
from empirical.runs import training
from empirical.runs.draws import Draw
from empirical.runs.record import Run
from empirical.runs.scans import FILE, Scan

# As many images of each draw are kept, for contact sheets.
KEPT = 30


@dataclass(frozen=True)
class Plan:
    """The `scales` to scan, and the generations of a finished `run`; or, without one, the first
    generation of the recipe."""

    recipe: Recipe
    scales: tuple[float, ...]
    out: Path
    run: Run | None = None
    generations: tuple[int, ...] = (1,)

    @property
    def settings(self) -> Settings:
        """The effective settings of the recipe."""
        return self.recipe.settings

    @property
    def replicates(self) -> int:
        """The number of further images of each prompt at every scale."""
        return self.settings.measure.replicate_count

    @property
    def work(self) -> int:
        """The work of the scan, in image passes of the denoiser."""
        learn, image = costs(self.settings)
        size = self.settings.data.size
        at_scales = len(self.generations) * len(self.scales) * (1 + self.replicates) * size
        if self.run is not None:
            return at_scales * image
        of_base = sum(extra_draws.counts(self.settings, 0)) + drawing.probes(self.settings)
        return learn + (at_scales + of_base) * image


def plan(
    source: Recipe | Run, scales: Sequence[float], out: Path, generations: Sequence[int] = ()
) -> Plan:
    """Check what is to be scanned; `generations` are those of a run, by default all that it has.

    Scales that the folder `out` has already remain: a scan can be extended. Raises `UserError` for
    no scales, scales that are not finite, generations that do not exist, and a folder that holds
    something else.
    """
    wrong = [w for w in scales if not np.isfinite(w)]
    if wrong or not scales:
        raise UserError(f"the scales to scan are {list(scales)}, they must be finite numbers")
    earlier = _earlier(out)
    every = sorted({*map(float, scales), *(earlier["scales"] if earlier else ())})
    if isinstance(source, Recipe):
        if generations:
            raise UserError("generations are those of a run: a recipe is scanned in its first")
        recipe = source.model_copy(update={"generations": 1})
        folder.require_unclaimed(out, recipe)
        planned = Plan(loop.resolved(recipe, out), tuple(every), out)
    else:
        complete = [g.number for g in source.generations() if g.number]
        chosen = tuple(sorted(set(generations) or complete))
        missing = [number for number in chosen if number not in complete]
        if missing or not chosen:
            raise UserError(
                f"the run '{source.folder}' has the generations 1 to {max(complete, default=0)}, "
                f"not {missing[0] if missing else 1}"
            )
        folder.require_unclaimed(out, source.recipe)
        planned = Plan(source.recipe, tuple(every), out, source, chosen)
    if earlier and _content(planned) != {**earlier, "scales": every}:
        raise UserError(f"the folder '{out}' holds another scan; name another folder")
    return planned


def scan(planned: Plan, progress: Progress = silent, base: model.Model | None = None) -> Scan:
    """Make the scan, or resume it, in its folder; `progress` receives ``planned.work`` in total.

    Writes the recipe, ``scan.json``, and of every generation and scale the traits, the quality
    and the first images. Raises `UserError` where the settings contradict each other or the model,
    or weights or images are missing.
    """
    recipe, out = planned.recipe, planned.out
    prepared = loop.prepare(recipe, out, base) if planned.run is None else None
    base = prepared.base if prepared else base or loop.load(recipe)
    generator = DiffusionGenerator(base, recipe.settings)
    notes = prepared.warnings if prepared else ()
    with folder.claimed(out, recipe, str(base.device), notes):
        if processes.is_main():
            files.write_json(out / FILE, _content(planned))
        try:
            held_out = _prepare_first(planned, prepared, generator, progress)
            for number in planned.generations:
                if planned.run is not None:
                    generator.load(number, planned.run.generation(number).folder)
                _scan(planned, number, generator, held_out, progress)
        finally:
            generator.unload()
    return Scan(out)


def _prepare_first(
    planned: Plan,
    prepared: "loop.Prepared | None",
    generator: DiffusionGenerator,
    progress: Progress,
) -> UInt8[np.ndarray, "n h w c"] | None:
    """Make generation 0 and learn generation 1 of a recipe; return the held-out images."""
    chain = Run(planned.out)
    if prepared is None:
        assert planned.run is not None
        if processes.is_main():
            for number in planned.generations:
                _copy_training(planned.run, number, Scan(planned.out).training(number))
        processes.wait()
        return recorded.held_out(planned.run)
    real = prepared.real
    if processes.is_main():
        real.keep(chain)
    loop.loop(generator, real.first(), real.held_out, planned.recipe, planned.out, progress, last=0)
    loop.learn(generator, chain, 1, planned.settings, progress, real.draw)
    if processes.is_main():
        extra_draws.measure_fresh(generator, chain, chain.generation(1))
        _copy_training(chain, 1, Scan(planned.out).training(1))
    processes.wait()
    return real.held_out


def _copy_training(run: Run, number: int, draw: Draw) -> None:
    """Write the traits of a training set, so that the folder of a scan is complete by itself."""
    if draw.complete:
        return
    for name in run.generation(0).traits():
        draw.write(name, training.trait(run, number, name))
    captions = training.captions(run, number)
    draw.finish(captions, [None] * len(captions))


def _scan(
    planned: Plan,
    number: int,
    generator: DiffusionGenerator,
    held_out: UInt8[np.ndarray, "n h w c"] | None,
    progress: Progress,
) -> None:
    """Draw and measure one generation's model at every scale."""
    settings = planned.settings
    chain, result = planned.run or Run(planned.out), Scan(planned.out)
    captions = (
        chain.generation(0).captions if planned.run is None else chain.generation(number).captions
    )
    image_seeds = drawing.image_seeds(settings, number, len(captions))
    more = captions * planned.replicates
    others = extra_draws.replicate_seeds(settings, number, len(more))
    quality = _Quality(generator, chain, number, held_out)
    for scale in planned.scales:
        rule = Constant(rule="constant", scale=scale)
        draws = [(result.draw(number, scale), captions, image_seeds)]
        if more:
            draws.append((result.replicate(number, scale), more, others))
        for draw, prompts, seeds in draws:
            if draw.complete:
                progress(len(prompts) * generator.costs[1])
                continue
            where, sample = draw.folder / "images", partial(generator.sample_by, rule)
            drawing.draw(generator, where, prompts, seeds, settings, progress, sample=sample)
            processes.wait()
            if processes.is_main():
                images = drawing.read(where, len(prompts))
                measuring.measure_draw(generator, chain, draw, number, images)
                if draw == draws[0][0]:
                    quality.write(draw, images, prompts)
                draw.finish(prompts, seeds)
        if processes.is_main():
            for path in files.visible(result.draw(number, scale).folder / "images", "*.png")[KEPT:]:
                path.unlink()
            shutil.rmtree(result.replicate(number, scale).folder / "images", ignore_errors=True)
        processes.wait()


class _Quality:
    """Measures draws as generations are, each against generation 0 and held-out real images."""

    def __init__(
        self,
        generator: DiffusionGenerator,
        chain: Run,
        number: int,
        held_out: UInt8[np.ndarray, "n h w c"] | None,
    ) -> None:
        self._current: tuple[UInt8[np.ndarray, "n h w c"], tuple[str, ...]]
        self._seed = chain.recipe.seed
        first = sources.of_chain(chain, 0, generator.encode, generator.classifier, held_out)
        source = replace(
            first,
            labels=("generation 0", "the draw"),
            read=lambda place: self._current if place else first.read(0),
            kept=lambda place, trait: None if place else first.kept(0, trait),
            training_images=lambda _: training_set.training_images_if_different(chain, number),
        )
        self._samples = measuring.Samples(source, source.space, every_measure())

    def write(
        self, draw: Draw, images: UInt8[np.ndarray, "n h w c"], captions: Sequence[str]
    ) -> None:
        """Write ``metrics.json`` of a draw."""
        self._current = images, tuple(captions)
        measurements = self._samples.measure(1, self._seed)
        main = list(self._samples.references(1))[-1:]
        content = metrics.summary(measurements, self._samples.space, *main)
        files.write_json(draw.folder / "metrics.json", content)


def _content(planned: Plan) -> dict[str, object]:
    return {
        "scales": list(planned.scales),
        "generations": list(planned.generations),
        "replicates": planned.replicates,
        "run": None if planned.run is None else planned.run.name,
    }


def _earlier(out: Path) -> dict | None:
    return files.read_json(out / FILE) if (out / FILE).is_file() else None
