"""Cost of a chain: time, memory and disk, from a short benchmark of its model on this machine.

The benchmark trains, draws and measures with the code, model and batch sizes of the chain. Where a
batch would take long it times smaller ones and extrapolates linearly.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import numpy as np
from jaxtyping import Float, UInt8

from empirical.chain import drawing, extra_draws, folder, loop
from empirical.data.real_images import Population
from empirical.generator.diffusion import DiffusionGenerator
from empirical.measuring import generation as measuring
from empirical.pipeline.memory import Peak
from empirical.pipeline.model import Model
from empirical.recipe import Recipe, Settings
from empirical.runs.record import Run

_LONG = 20.0  # seconds that one part of the benchmark may take
_STEPS = 3
_FEW = 64


@dataclass(frozen=True)
class Benchmark:
    """Costs of a model under a recipe, in seconds: of one training step, of encoding an image, of
    one step of drawing an image, of decoding it, and of measuring a generation; and the peak of
    memory in bytes."""

    step: float
    encode: float
    draw: float
    decode: float
    measure: float
    memory: int


@dataclass(frozen=True)
class Estimate:
    """Cost of the generations that are not done yet.

    `finetuning`, `sampling` and `measuring` in seconds; `memory` in bytes, the peak of the device,
    on a CPU that of the whole process; `disk` in bytes, for the whole run.
    """

    generations: int
    finetuning: float
    sampling: float
    measuring: float
    memory: int
    disk: int

    @property
    def seconds(self) -> float:
        """The total time."""
        return self.finetuning + self.sampling + self.measuring


def estimate(recipe: Recipe, base: Model, out: Path, cost: Benchmark | None = None) -> Estimate:
    """Estimate the cost of running, or resuming, a chain in the folder `out`.

    `cost` is the result of a benchmark; by default one is run. Nothing is written to `out`.
    Raises `UserError` where `chain.run` would.
    """
    folder.require_unclaimed(out, recipe)
    settings, run = loop.resolved(recipe, out).settings, Run(out)
    table, size = settings.finetune, settings.data.size
    left = [n for n in range(recipe.generations + 1) if not run.generation(n).done]
    if not left:
        return Estimate(0, 0.0, 0.0, 0.0, 0, loop.size(settings, base))
    cost = cost or benchmark(recipe, base, out)
    populations = [n if table.training_set == "accumulate" else 1 for n in left if n]
    guided, unguided = np.sum([extra_draws.counts(settings, n) for n in left] or [(0, 0)], axis=0)
    drawn = len(left) * drawing.probes(settings) + len(populations) * size + guided
    # At scale 1 one of the two predictions of a step is left out.
    steps = drawn + (unguided if extra_draws.unguided_anyway(settings) else unguided / 2)
    measured = len(left) + (guided + unguided) / size
    disk = loop.size(settings, base)
    folder.require_room(out, disk)
    return Estimate(
        len(left),
        len(populations) * table.steps * cost.step + sum(populations) * size * cost.encode,
        (drawn + unguided) * cost.decode + steps * cost.draw * settings.generate.steps,
        measured * cost.measure,
        cost.memory,
        disk,
    )


def kind(settings: Settings) -> str:
    """Return a text that is equal for settings that can share one benchmark."""
    free = {"steps", "learning_rate", "start_from", "training_set", "real_fraction"}
    relevant = [
        settings.model.model_dump(),
        settings.data.model_dump(),
        settings.finetune.model_dump(exclude={*free, "condition_drop"}),
        settings.generate.model_dump(exclude={"steps", "guidance"}),
        # A scale matters only by whether both predictions are needed.
        {
            key: (value == 0, value == 1) if isinstance(value, float) else value
            for key, value in settings.generate.guidance.model_dump().items()
        },
    ]
    return json.dumps(relevant)


def benchmark(recipe: Recipe, base: Model, out: Path | None = None) -> Benchmark:
    """Time the parts of a chain, and measure their peak memory.

    The images are those of the run in `out`, where there is one.
    """
    peak = Peak(base.device)
    with TemporaryDirectory(prefix="qtm-") as scratch:
        prepared = loop.prepare(recipe, out or Path(scratch) / "none", base)
        real, settings = prepared.real.first(), prepared.settings
        micro_batch = -(-settings.finetune.batch_size // settings.finetune.micro_batches)
        step, encode, learning = _batch_costs(
            micro_batch,
            lambda n: _learn(settings, base, real, n, Path(mkdtemp(dir=scratch)), peak),
            base.compiled,
        )
        batch = min(settings.generate.batch_size, len(real))
        draw, decode, drawing = _batch_costs(
            batch, lambda n: _draw(settings, base, real, n, peak), base.compiled
        )
        measure = _measure(recipe, base, real, prepared.real.held_out, Path(scratch) / "run")
    return Benchmark(
        step=float(step) * settings.finetune.micro_batches,
        encode=float(encode) / min(_FEW, len(real)),
        draw=float(draw) / batch,
        decode=float(decode) / batch,
        measure=measure,
        memory=int(max(learning, drawing)),
    )


def _batch_costs(
    size: int, costs: Callable[[int], Float[np.ndarray, " k"]], compiled: bool = False
) -> Float[np.ndarray, " k"]:
    """Return the costs [seconds of a step, ..., bytes] of a batch: measured, or linearly
    extrapolated where measuring would take long. A `compiled` model is compiled for a batch size
    at its first use, in any of the steps; the second use is measured."""
    if compiled:
        once = costs
        costs = lambda n: (once(n), once(n))[1]
    single = costs(1)
    # An image takes no longer in a larger batch.
    few = min(size, max(2, int(_LONG / (_STEPS * single[0]))))
    if few == 1:
        return single
    several = costs(few)
    return several + (size - few) * np.maximum(several - single, 0) / (few - 1)


def _learn(
    settings: Settings, base: Model, real: Population, batch: int, out: Path, peak: Peak
) -> Float[np.ndarray, " 3"]:
    """Return seconds of a step and of encoding a few images, and the peak of memory."""
    table = settings.finetune.model_copy(
        update={"steps": _STEPS, "batch_size": batch, "micro_batches": 1}
    )
    generator = DiffusionGenerator(base, settings.model_copy(update={"finetune": table}))
    few, clock = _first(real, min(_FEW, len(real)) if batch > 1 else 1), _Clock()
    peak.reset()
    try:
        generator.fit(few, 1, out, clock)
    finally:
        generator.unload()
    # The first call reports that nothing is done yet; then come encoding and the first step.
    begun, *steps = clock.times[-_STEPS - 1 :]
    step = (steps[-1] - steps[0]) / (_STEPS - 1)
    encode = max(0.0, steps[0] - begun - step)
    return np.array([step, encode * min(_FEW, len(real)) / len(few), peak.read()])


def _draw(
    settings: Settings, base: Model, real: Population, batch: int, peak: Peak
) -> Float[np.ndarray, " 3"]:
    """Return seconds of a step of sampling and of decoding a batch, and the peak of memory."""
    table = settings.generate.model_copy(update={"steps": _STEPS})
    generator = DiffusionGenerator(base, settings.model_copy(update={"generate": table}))
    clock = _Clock()
    peak.reset()
    try:
        generator.sample(real.captions[:batch], list(range(batch)), clock)
        decode = time.perf_counter() - clock.times[-1]
    finally:
        generator.unload()
    step = (clock.times[-1] - clock.times[0]) / sum(clock.counts[1:]) * batch
    return np.array([step, decode, peak.read()])


def _measure(
    recipe: Recipe,
    base: Model,
    real: Population,
    reference: UInt8[np.ndarray, "n h w c"] | None,
    out: Path,
) -> float:
    """Return the seconds that measuring a generation takes."""
    generator = DiffusionGenerator(base, recipe.settings)

    def seconds(size: int) -> float:
        run, images = Run(out.with_name(f"{out.name}-{size}")), _first(real, size)
        folder.write_recipe(run, recipe)
        for number in range(2):
            generation = run.generation(number)
            drawing.write_images(generation, images)
            started = time.perf_counter()
            measuring.measure(generator, run, generation, reference, recipe.seed)
        return time.perf_counter() - started

    few = min(_FEW, len(real))
    first, ratio = seconds(few), len(real) / few
    # Distances between images grow with the square of their number.
    return seconds(len(real)) if first * ratio**2 < _LONG else first * ratio


def _first(real: Population, count: int) -> Population:
    return Population(real.images[:count], real.captions[:count])


class _Clock:
    """Record the time and the amount of each report of progress."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.counts: list[int] = []

    def __call__(self, count: int) -> None:
        self.times.append(time.perf_counter())
        self.counts.append(count)
