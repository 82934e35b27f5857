"""Trackers: losses and metrics of a chain in TensorBoard, Weights & Biases and the like.

Those of accelerate, and classes registered with ``accelerate.tracking.register_tracker_class``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from empirical.chain.loop import OnGeneration
from empirical.errors import UserError
from empirical.keys import flatten
from empirical.recipe import Recipe
from empirical.runs.record import Generation


@contextmanager
def tracked(name: str, recipe: Recipe, run: str) -> Iterator[OnGeneration]:
    """Yield the callback of a chain that reports every generation to a tracker.

    The axis is the number of finetuning steps so far: ``loss`` and ``gradient_norm`` after each,
    and at the end of each generation its number and ``metrics/...``, every number of its
    ``metrics.json``. A resumed chain reports its earlier generations again. Trackers that write
    files do so in the run's folder, below ``tracking``. Raises `UserError` where the tracker is
    unknown or not installed.
    """
    cls = _tracker(name)
    trackers: list[Any] = []

    def on_generation(generation: Generation) -> None:
        if not trackers:
            trackers.append(_start(cls, name, generation, run))
            trackers[0].store_init_configuration(_settings(recipe))
        for step, values in history(generation, recipe.settings.finetune.steps):
            trackers[0].log(values, step=step)

    try:
        yield on_generation
    finally:
        for tracker in trackers:
            tracker.finish()


def history(generation: Generation, steps: int) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield (finetuning steps of the chain so far, values) for a generation of `steps` steps."""
    before = (generation.number - 1) * steps
    losses = generation.loss().to_dict("records") if generation.number else []
    rows = [{"loss": row["loss"], "gradient_norm": row["gradient_norm"]} for row in losses]
    for step, values in enumerate(rows[:-1], start=1):
        yield before + step, values
    last = {"generation": generation.number, **numbers({"metrics": generation.metrics()})}
    yield generation.number * steps, {**last, **(rows[-1] if rows else {})}


def numbers(table: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers in nested tables by their paths."""
    kinds = int | float
    flat = flatten(table, "/").items()
    return {key: x for key, x in flat if isinstance(x, kinds) and not isinstance(x, bool)}


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe in the types that trackers take."""
    flat = flatten(recipe.model_dump(exclude_none=True), "/").items()
    return {key: x if isinstance(x, bool | int | float | str) else str(x) for key, x in flat}


def _tracker(name: str) -> Any:
    """Return the class of a tracker."""
    from accelerate import tracking

    known = tracking.LOGGER_TYPE_TO_CLASS
    if name not in known:
        raise UserError(f"there is no tracker '{name}', known are {', '.join(sorted(known))}")
    cls = known[name]
    registered = not cls.__module__.startswith("accelerate.")
    if not registered and name not in map(str, tracking.get_available_trackers()):
        package = name.replace("_", "-")
        raise UserError(f"the tracker '{name}' is not installed: pip install {package}")
    return cls


def _start(cls: Any, name: str, generation: Generation, run: str) -> Any:
    from accelerate import PartialState

    PartialState()
    if cls.requires_logging_directory:
        tracker = cls(run, str(generation.folder.parent / "tracking"))
    else:
        tracker = cls("diffusion-qtm", **({"name": run} if name == "wandb" else {}))
    tracker.start()
    return tracker
