"""Contact sheet: the same prompts and seeds in every generation, at each CFG scale."""

from matplotlib.figure import Figure

from empirical.errors import UserError
from empirical.runs.record import Run
from figures.pieces import probes, show_mosaic, stored_images
from figures.study import Study
from figures.style import PAGE

NUMBER = 1
MADE_BY = "empirical/recipes/grid/embedded.toml, arm baseline, seed 0"
CAPTION = (
    "(a) Images of the same five prompts and seeds at each CFG scale, one row per generation; the "
    "first row is the base model, before any finetuning. High scales thicken the strokes until "
    "all images of a digit are alike, and finally illegible; without guidance (CFG 1) digits thin "
    "out and turn into each other. (b) Training sets of each generation: images of the previous "
    "generation, real ones for the first; for scales whose images are kept."
)
_PROMPTS = 5
_TOGETHER = 30
_FEW, _LEAST = 3, 10


def draw(study: Study) -> Figure:
    """Draw probes at every scale, and below them training sets where images are stored."""
    by_scale = {scale: _with_probes(runs) for scale, runs in study.scales().items()}
    first = {scale: run for scale, run in by_scale.items() if run is not None}
    if not first:
        raise UserError("none of the runs stores its probes")
    training = {scale: run for scale, run in first.items() if _training_sets(run, _LEAST)}
    count = _TOGETHER // max(len(training), 1)
    rows = max(len(run.generations()) for run in first.values())
    side = (PAGE - 0.5) / (_PROMPTS * len(first))
    upper = side * rows
    lower = upper * (rows - 1) / rows if training else 0.0
    figure = Figure(figsize=(PAGE, upper + lower + (0.5 if training else 0.25)))
    parts = (
        figure.subfigures(2, 1, height_ratios=[upper + 0.25, lower + 0.25])
        if training
        else [figure]
    )

    axes = parts[0].subplots(1, len(first), squeeze=False)[0]
    for axis, (scale, run) in zip(axes, first.items(), strict=True):
        images = [generation.probes() for generation in run.generations()]
        step = max(1, min(10, len(images[0])) // _PROMPTS)
        names = ["base", *map(str, range(1, len(images)))]
        chosen = [each[::step][:_PROMPTS] for each in images]
        show_mosaic(axis, chosen, names if axis is axes[0] else None)
        axis.set_title(f"{'a   ' if axis is axes[0] else ''}CFG {scale:g}", loc="left")
    axes[0].set_ylabel("generation")
    if training:
        axes = parts[1].subplots(1, len(training), squeeze=False)[0]
        for axis, (scale, run) in zip(axes, training.items(), strict=True):
            sets = _training_sets(run, count)
            names = [str(i + 1) for i in range(len(sets))]
            show_mosaic(axis, sets, names if axis is axes[0] else None)
            # Many titles of full length would overlap.
            words = "training sets, " if axis is axes[0] or len(training) < _FEW else ""
            letter = "b   " if axis is axes[0] else ""
            axis.set_title(f"{letter}{words}CFG {scale:g}", loc="left")
        axes[0].set_ylabel("for generation")
    return figure


def _with_probes(runs: list[Run]) -> Run | None:
    """Return the first run that stores the probes of all its generations."""
    stored = (run for run in runs if all(probes(g) is not None for g in run.generations()))
    return next(stored, None)


def _training_sets(run: Run, count: int) -> list:
    """Return `count` training images of each generation after generation 0, or as many as ten; none
    if they are not stored.

    They are right for training sets that are replaced in each generation."""
    for few in (count, min(count, _LEAST)):
        sets = [stored_images(generation, few) for generation in run.generations()[:-1]]
        if all(images is not None for images in sets):
            return sets
    return []
