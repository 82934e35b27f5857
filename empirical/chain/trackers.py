"""Trackers: a chain's losses and metrics in TensorBoard, Weights & Biases and the like.

Those that accelerate knows, and classes of one's own that are registered with
``accelerate.tracking.register_tracker_class``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from empirical.chain.loop import OnGeneration
from empirical.errors import UserError
from empirical.recipe import Recipe
from empirical.runs.record import Generation

_PROJECT = "diffusion-qtm"


@contextmanager
def tracked(name: str, recipe: Recipe, run: str) -> Iterator[OnGeneration]:
    """Give the callback of a chain that tells a tracker of every generation.

    The axis is the number of finetuning steps so far: ``loss`` and ``gradient_norm`` after each,
    and at the end of each generation its number and ``metrics/...``, every number of its
    ``metrics.json``. A resumed chain tells of its earlier generations again. Trackers that write
    files do so in the run's folder, below ``tracking``. Raises `UserError` where the tracker is
    unknown or not installed.
    """
    make = _maker(name)
    trackers: list[Any] = []

    def on_generation(generation: Generation) -> None:
        if not trackers:
            trackers.append(make(generation, run))
            trackers[0].start()
            trackers[0].store_init_configuration(dict(_numbers(recipe.model_dump(), texts=True)))
        for step, values in history(generation, recipe.settings.finetune.steps):
            trackers[0].log(values, step=step)

    try:
        yield on_generation
    finally:
        for tracker in trackers:
            tracker.finish()


def history(generation: Generation, steps: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield what there is to tell of a generation: (finetuning steps of the chain so far, values).

    `steps` are those of one generation.
    """
    last = {"generation": generation.number}
    last |= {f"metrics/{key}": value for key, value in _numbers(generation.metrics())}
    if generation.number:
        before = (generation.number - 1) * steps
        rows = generation.loss().to_dict("records")
        losses = [{"loss": row["loss"], "gradient_norm": row["gradient_norm"]} for row in rows]
        for step, values in enumerate(losses[:-1], start=1):
            yield before + step, values
        last |= losses[-1]
    yield generation.number * steps, last


def _maker(name: str) -> Any:
    """Return a function that makes the tracker for (generation, run)."""
    from accelerate import PartialState, tracking

    known = tracking.LOGGER_TYPE_TO_CLASS
    if name not in known:
        raise UserError(f"there is no tracker '{name}', known are {', '.join(sorted(known))}")
    cls = known[name]
    own = not cls.__module__.startswith("accelerate.")
    if not own and name not in map(str, tracking.get_available_trackers()):
        package = name.replace("_", "-")
        raise UserError(f"the tracker '{name}' is not installed: pip install {package}")

    def make(generation: Generation, run: str) -> Any:
        PartialState()
        if cls.requires_logging_directory:
            return cls(run, str(generation.folder.parent / "tracking"))
        options = {"name": run} if name == "wandb" else {}
        return cls(_PROJECT, **options)

    return make


def _numbers(
    table: Mapping[str, Any], texts: bool = False, above: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield the finite values of nested tables by path, numbers or, with `texts`, all."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, texts, f"{above}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{above}{key}", value
        elif texts and value is not None:
            yield f"{above}{key}", value if isinstance(value, bool | str) else str(value)
