"""What a worker of a sweep does: survey recipes, and run chains one after the other.

A worker lives long and imports torch once; the model it used last stays loaded for the next chain.
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
    """Why a task came to nothing: one sentence, and what helps to find the cause."""

    sentence: str
    details: str = ""


class Lumps:
    """Passes counts of work on, summed up over a while; leaving it as a context tells the rest."""

    _SECONDS = 0.2

    def __init__(self, tell: Progress) -> None:
        self._tell, self._count, self._told = tell, 0, time.monotonic()

    def __call__(self, count: int) -> None:
        self._count += count
        if time.monotonic() - self._told > self._SECONDS:
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
        self._count, self._told = 0, time.monotonic()


@dataclass(frozen=True)
class Survey:
    """What a chain takes: work (image passes of the denoiser), bytes on disk, and roughly the bytes
    of memory."""

    work: int
    disk: int
    memory: int


def attempt(task: Task, progress: Progress) -> Any:
    """Do a task and return its result, or the `Failure` that it ended in."""
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
    # A chain that broke off may have left its mark on the model.
    _loaded.clear()
    return failure


def survey(recipes: Mapping[str, Recipe], out: Path, progress: Progress) -> dict[str, Survey]:
    """Find everything that can be wrong with the chains of a sweep, and what they take.

    Raises `UserError` that names the chain.
    """
    from empirical.chain import folder, loop

    found = {}
    for name, recipe in sorted(recipes.items(), key=lambda item: _model_of(item[1])):
        try:
            base = _base(recipe)
            if (out / name / "recipe.toml").is_file():
                # What is wrong with the images of a chain that was begun ends no other.
                loop.check(recipe.settings, base)
            else:
                loop.prepare(recipe, out / name, base)
            disk, memory = loop.size(recipe.settings, base), _memory(recipe.settings, base)
            found[name] = Survey(loop.work(recipe), disk, memory)
        except UserError as error:
            raise UserError(f"the chain '{name}' cannot run: {error}") from error
    folder.must_have_room(out, sum(each.disk for each in found.values()))
    return found


def estimate(recipes: Mapping[str, Recipe], out: Path, progress: Progress) -> "dict[str, Estimate]":
    """Estimate what chains will take, with one probe for all that cost the same."""
    from empirical.chain import estimate as plan

    found, probes = {}, {}
    for name, recipe in sorted(recipes.items(), key=lambda item: _model_of(item[1])):
        base, kind = _base(recipe), plan.kind(recipe.settings)
        if kind not in probes:
            probes[kind] = plan.probe(recipe, base, out / name)
        found[name] = plan.estimate(recipe, base, out / name, probes[kind])
    return found


def run(recipe: Recipe, folder: Path, progress: Progress) -> None:
    """Run a chain, or go on with it."""
    from empirical.chain import loop

    loop.run(recipe, folder, progress, base=_base(recipe))


# Threads of one process share the model.
_alone = threading.Lock()
_loaded: dict[tuple[str, str, bool], "Model"] = {}


def _model_of(recipe: Recipe) -> tuple[str, str, bool]:
    table = recipe.settings.model
    return table.name, table.precision, table.compile


def _memory(settings: Settings, base: "Model") -> int:
    """Return roughly the bytes of a chain: torch, weights and activations, and for everything that
    learns its value, gradient, and two moments."""
    from empirical.generator import trainable

    parts = (base.pipeline.vae, base.unet, *base.text_encoders)
    weights = sum(4 * p.numel() for part in parts for p in part.parameters())
    return 700_000_000 + 3 * weights // 2 + 4 * trainable.size(base, settings.finetune)


def _base(recipe: Recipe) -> "Model":
    """Return the model of a recipe, the one in memory if it is the same."""
    from empirical.pipeline import model

    wanted = _model_of(recipe)
    if wanted not in _loaded:
        _loaded.clear()
        name, precision, compiled = wanted
        _loaded[wanted] = model.load(name, None, precision, compiled)
    return _loaded[wanted]
