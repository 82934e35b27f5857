"""The plan that ``--dry-run`` prints: the work to do, and its cost."""

from pathlib import Path
from typing import TYPE_CHECKING

from empirical.commands.tables import amount, duration, show

if TYPE_CHECKING:
    from empirical.recipe import Recipe
    from empirical.sweeps.run import Pool, Sweep


def of_chain(recipe: "Recipe", out: Path) -> None:
    """Print the plan of one chain."""
    from empirical import files
    from empirical.chain import estimate, extra_draws, loop

    base = loop.load(recipe)
    cost = estimate.estimate(recipe, base, out)
    learn, draw = recipe.settings.finetune, recipe.settings.generate
    total, left = recipe.generations + 1, cost.generations
    print(
        f"{out}: {left} of {total} generations to do, model '{recipe.model.name}' on {base.device}"
    )
    print(f"generation 0: {recipe.data.size} real images of {', '.join(recipe.data.names)}")
    print(
        f"generations 1 to {recipe.generations}, each: {learn.steps} steps of {learn.batch_size} "
        f"images ({learn.method}, from the {learn.start_from} model, training set "
        f"'{learn.training_set}'), then {recipe.data.size} images in {draw.steps} steps of "
        f"{draw.sampler}, guidance '{draw.guidance.rule}'"
    )
    extra = extra_draws.counts(loop.resolved(recipe, out).settings, 1)
    if any(extra):
        parts_drawn = zip(extra, ("with the same guidance", "without guidance"), strict=True)
        words = " and ".join(f"{count} {how}" for count, how in parts_drawn if count)
        print(f"drawn only to be measured, each: {words}")
    if recipe.remedy is not None:
        print(f"remedy: {recipe.remedy.name}")
    parts = {"finetuning": cost.finetuning, "sampling": cost.sampling}
    parts["measuring"] = cost.measuring
    breakdown = ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items())
    kind = "of the GPU" if base.device.type == "cuda" else "main memory"
    print(f"time: about {duration(cost.seconds)} ({breakdown})")
    print(f"memory: about {amount(cost.memory)} {kind}")
    print(f"disk: at most about {amount(cost.disk)}, {amount(files.available(out))} are free")
    print("estimated by a short benchmark on this machine; nothing was written")


def of_sweep(sweep: "Sweep", pool: "Pool") -> None:
    """Print the plan of a sweep, a line for each chain that is not finished."""
    from empirical.sweeps import run

    estimates = sweep.estimate(pool) if sweep.surveys else {}
    rows = [("chain", "generations to do", "time", "memory", "disk")]
    for name in sweep.grid.chains:
        if name in estimates:
            each = estimates[name]
            amounts = duration(each.seconds), amount(each.memory), amount(each.disk)
            rows.append((name, str(each.generations), *amounts))
    show(rows)
    total, done = len(sweep.grid.chains), len(sweep.grid.chains) - len(estimates)
    print(f"{total} chains, {done} finished; {pool.capacity} run at a time at full speed")
    print(
        f"time: about {duration(run.duration(estimates, pool.capacity))} for all; "
        f"disk: at most about {amount(sum(each.disk for each in estimates.values()))}"
    )
    print("estimated by short benchmarks on one worker; nothing was written")
