"""What ``--dry-run`` prints: what would be done, and what it would take."""

from pathlib import Path
from typing import TYPE_CHECKING

from empirical.commands.tables import amount, duration, show

if TYPE_CHECKING:
    from empirical.recipe import Recipe
    from empirical.sweeps.run import Pool, Sweep


def of_chain(recipe: "Recipe", out: Path) -> None:
    """Print the plan of one chain."""
    from empirical import files
    from empirical.chain import estimate, loop

    base = loop.load(recipe)
    found = estimate.estimate(recipe, base, out)
    learn, draw = recipe.settings.finetune, recipe.settings.generate
    of, left = recipe.generations + 1, found.generations
    print(f"{out}: {left} of {of} generations to do, model '{recipe.model.name}' on {base.device}")
    print(f"generation 0: {recipe.data.size} real images of {', '.join(recipe.data.names)}")
    print(
        f"generations 1 to {recipe.generations}, each: {learn.steps} steps of {learn.batch_size} "
        f"images ({learn.method}, from the {learn.start_from} model, training set "
        f"'{learn.training_set}'), then {recipe.data.size} images in {draw.steps} steps of "
        f"{draw.sampler}, guidance '{draw.guidance.rule}'"
    )
    if recipe.remedy is not None:
        print(f"remedy: {recipe.remedy.name}")
    parts = {"finetuning": found.finetuning, "sampling": found.sampling}
    parts["measuring"] = found.measuring
    said = ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items())
    kind = "of the GPU" if base.device.type == "cuda" else "main memory"
    print(f"time: about {duration(found.seconds)} ({said})")
    print(f"memory: about {amount(found.memory)} {kind}")
    print(f"disk: at most about {amount(found.disk)}, {amount(files.available(out))} are free")
    print("estimated by a short probe on this machine; nothing was written")


def of_sweep(sweep: "Sweep", pool: "Pool") -> None:
    """Print the plan of a sweep, a line for each chain that is not finished."""
    from empirical.sweeps import run

    found = sweep.estimate(pool) if sweep.surveys else {}
    rows = [("chain", "generations to do", "time", "memory", "disk")]
    for name in sweep.grid.chains:
        if name in found:
            each = found[name]
            amounts = duration(each.seconds), amount(each.memory), amount(each.disk)
            rows.append((name, str(each.generations), *amounts))
    show(rows)
    total, done = len(sweep.grid.chains), len(sweep.grid.chains) - len(found)
    print(f"{total} chains, {done} finished; {pool.capacity} go on at a time at full speed")
    print(
        f"time: about {duration(run.duration(found, pool.capacity))} for all; "
        f"disk: at most about {amount(sum(each.disk for each in found.values()))}"
    )
    print("estimated by short probes on one worker; nothing was written")
