"""Add, to finished runs whose weights are there, images that are drawn only to be measured."""

from empirical import claim
from empirical.chain import extra_draws, folder, loop
from empirical.errors import UserError
from empirical.generator.diffusion import DiffusionGenerator, costs
from empirical.progress import Progress, silent
from empirical.recipe import MeasureTable, Recipe
from empirical.runs.record import Run


def complete(
    run: Run, *, unguided: bool = False, replicates: int = 0, progress: Progress = silent
) -> None:
    """Draw and measure, of every complete generation of a run, what is drawn only to be measured.

    It is added to what the run has, and to what it draws if it is lengthened. `progress` receives
    image passes of the denoiser, `work` in total. Raises `UserError` where the weights of
    a generation are gone, or the run was changed.
    """
    recipe, table = _extended(run, unguided, replicates)
    folder.verify(run)
    generator = DiffusionGenerator(loop.load(recipe), recipe.settings)
    with claim.claimed(run.folder, "run"):
        try:
            for generation in run.generations():
                generator.load(generation.number, generation.folder)
                extra_draws.measure(generator, run, generation, recipe.settings, progress)
        finally:
            generator.unload()
        folder.measures_more(run, table)
        run.rebuild_moments()


def work(run: Run, *, unguided: bool = False, replicates: int = 0) -> int:
    """Return the work of `complete`, in image passes of the denoiser."""
    settings = _extended(run, unguided, replicates)[0].settings
    drawn = sum(sum(extra_draws.counts(settings, g.number)) for g in run.generations())
    return drawn * costs(settings)[1]


def _extended(run: Run, unguided: bool, replicates: int) -> tuple[Recipe, MeasureTable]:
    recipe = run.recipe
    more = {
        "unguided": recipe.measure.unguided or unguided,
        "replicates": max(recipe.measure.replicate_count, replicates),
    }
    if more["replicates"] != recipe.measure.replicate_count and recipe.measure.replicate_count:
        raise UserError(
            f"the run '{run.folder}' has {recipe.measure.replicate_count} replicates of each "
            f"prompt: their number cannot be changed"
        )
    table = recipe.measure.model_copy(update=more)
    return recipe.model_copy(update={"measure": table}), table
