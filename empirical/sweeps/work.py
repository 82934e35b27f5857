"""The tasks of a worker of a sweep: survey recipes, estimate costs, and run chains in turn.

A worker is long-lived and imports torch once; its last model stays loaded for the next chain.
"""

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from empirical.errors import UserError
from empirical.out_of_memory import is_out_of_memory, settings
from empirical.progress import Progress
from empirical.recipe import Recipe, Settings

if TYPE_CHECKING:
    from empirical.chain.estimate import Estimate
    from empirical.pipeline.model import Model

Task = Callable[[Progress], Any]


@dataclass(frozen=True)
class Failure:
    """The reason that a task failed: one sentence, and details for finding the cause."""

    sentence: str
    details: str = ""


class Throttled:
    """Progress calls combined to one per interval; leaving the context passes on the rest."""

    _SECONDS = 0.2

    def __init__(self, tell: Progress) -> None:
        self._tell, self._count, self._reported = tell, 0, time.monotonic()

    def __call__(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._reported > self._SECONDS:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._count and error is None:
            self._flush()

    def _flush(self) -> None:
        self._tell(self._count)
        self._count, self._reported = 0, time.monotonic()


@dataclass(frozen=True)
class Survey:
    """The costs of a chain: work (image passes of the denoiser), bytes on disk, and approximate
    bytes of memory."""

    work: int
    disk: int
    memory: int


def attempt(task: Task, progress: Progress) -> Any:
    """Run a task and return its result, or a `Failure`."""
    try:
        with _alone:
            return task(progress)
    except UserError as error:
        failure = Failure(str(error))
    except Exception as error:
        if isinstance(error, ConnectionError):
            raise
        text = (str(error).strip() or "no reason given").splitlines()[0]
        if is_out_of_memory(error):
            text = f"{text}; {settings()}, or run fewer chains at a time"
        failure = Failure(f"{type(error).__name__}: {text}", traceback.format_exc())
    # A chain that failed may have left the model changed.
    _loaded.clear()
    return failure


def survey(recipes: Mapping[str, Recipe], out: Path, progress: Progress) -> dict[str, Survey]:
    """Validate the chains of a sweep, and return their costs.

    Raises `UserError` that names the chain.
    """
    from empirical.chain import folder, loop

    surveys = {}
    for name, recipe in sorted(recipes.items(), key=lambda item: _model_of(item[1])):
        try:
            base = _base(recipe)
            if (out / name / "recipe.toml").is_file():
                # A fault in the images of a chain that was begun stops no other.
                loop.check(recipe.settings, base)
            else:
                loop.prepare(recipe, out / name, base)
            place = out / name
            try:
                settings = loop.resolved(recipe, place).settings
            except UserError:
                # A damaged recipe of a chain that was begun stops no other either.
                settings, place = recipe.settings, out
            disk, memory = loop.size(settings, base), _memory(settings, base)
            surveys[name] = Survey(loop.work(recipe, place), disk, memory)
        except UserError as error:
            raise UserError(f"the chain '{name}' cannot run: {error}") from error
    folder.require_room(out, sum(each.disk for each in surveys.values()))
    return surveys


def estimate(recipes: Mapping[str, Recipe], out: Path, progress: Progress) -> "dict[str, Estimate]":
    """Estimate the costs of chains, with one benchmark for all of the same kind."""
    from empirical.chain import estimate as plan

    estimates, benchmarks = {}, {}
    for name, recipe in sorted(recipes.items(), key=lambda item: _model_of(item[1])):
        base, kind = _base(recipe), plan.kind(recipe.settings)
        if kind not in benchmarks:
            benchmarks[kind] = plan.benchmark(recipe, base, out / name)
        estimates[name] = plan.estimate(recipe, base, out / name, benchmarks[kind])
    return estimates


def run(recipe: Recipe, folder: Path, progress: Progress) -> None:
    """Run or resume a chain."""
    from empirical.chain import loop

    loop.run(recipe, folder, progress, base=_base(recipe))


# Threads of one process share the model.
_alone = threading.Lock()
_loaded: dict[tuple[str, str, bool, bool], "Model"] = {}


def _model_of(recipe: Recipe) -> tuple[str, str, bool, bool]:
    table = recipe.settings.model
    return table.name, table.precision, table.compile, table.reproducible


def _memory(settings: Settings, base: "Model") -> int:
    """Return the approximate memory of a chain in bytes: torch, weights and activations, and for
    each trainable number its value, gradient, and two moments."""
    from empirical.generator import trainable

    parts = (base.pipeline.vae, base.unet, *base.text_encoders)
    weights = sum(4 * p.numel() for part in parts for p in part.parameters())
    return 700_000_000 + 3 * weights // 2 + 4 * trainable.size(base, settings.finetune)


def _base(recipe: Recipe) -> "Model":
    """Return the model of a recipe, reusing the loaded one if it is the same."""
    from empirical.pipeline import model

    key = _model_of(recipe)
    if key not in _loaded:
        _loaded.clear()
        name, *computed = key
        _loaded[key] = model.load(name, None, *computed)
    return _loaded[key]
