"""``qtm chain``: run Chains of Diffusion."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from empirical.commands import plans, tables

app = typer.Typer(help="Run Chains of Diffusion.", no_args_is_help=True)


_KEPT = "run the same command again to resume"
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan; write and run nothing.")]


@app.command("run")
def chain_run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="Recipe of the chain.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run.")],
    dry_run: DryRun = False,
    tracker: Annotated[
        str | None, typer.Option(help="tensorboard, wandb, or another tracker of accelerate.")
    ] = None,
) -> None:
    """Run a chain, or resume an interrupted one.

    Run the same command again to resume it; the files are the same as without the interruption.
    With more generations in the recipe, a run is lengthened.
    """
    from empirical.recipe import read

    parsed = read(recipe)
    from tqdm import tqdm

    from empirical import out_of_memory
    from empirical.chain import loop

    if dry_run:
        plans.of_chain(parsed, out)
        return
    from empirical.chain import folder

    complete = folder.is_complete(out, parsed)
    options = {}
    with ExitStack() as stack:
        stack.enter_context(out_of_memory.explained(f"{out_of_memory.settings()}; {_KEPT}"))
        if tracker is not None:
            from empirical.chain.trackers import tracked

            options["on_generation"] = stack.enter_context(tracked(tracker, parsed, out.name))
        bar = tqdm(total=loop.work(parsed, out), desc=f"chain {out}", unit=" passes")
        loop.run(parsed, out, stack.enter_context(bar).update, **options)
    if complete:
        print(f"qtm: the run '{out}' was complete already", file=sys.stderr)
    print(out)


@app.command("sweep")
def chain_sweep(
    grid: Annotated[Path, typer.Argument(metavar="GRID.toml", help="Which chains to run.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the sweep.")],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Chains at a time; one a GPU or core by default.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads per chain; by default all cores are shared.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda (every GPU), or cuda:N; GPUs where there are any.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Dask cluster that runs the chains.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Run every unfinished chain of a grid, each in a folder below DIR.

    Run the same command again to resume the missing chains. A failure stops no other chain; the
    exit code is then 1, and DIR/NAME.error.txt has the reason.

    Workers of a Dask cluster must see DIR and the data under the same paths, have one thread each,
    and for chains with a GPU each declare it: dask worker ADDRESS --nthreads 1 --resources
    GPU=1. On Slurm, dask-jobqueue starts them: SLURMCluster(cores=1, memory="32GB",
    job_extra_directives=["--gpus=1"], worker_extra_args=["--resources", "GPU=1"]).
    """
    from tqdm import tqdm

    from empirical import out_of_memory
    from empirical.sweeps import grid as grids
    from empirical.sweeps import run

    parsed = grids.read(grid)
    hint = f"{out_of_memory.settings()}, or run fewer chains at a time (--workers); {_KEPT}"
    with out_of_memory.explained(hint), _pool(workers, threads, device, scheduler) as pool:
        sweep = run.prepare(parsed, out, pool)
        if workers is None and scheduler is None:
            pool.fit(sweep.memory)
        if dry_run:
            plans.of_sweep(sweep, pool)
            return
        with tqdm(total=sweep.work, desc=f"sweep {out}", unit=" passes") as bar:
            failed = sweep.run(pool, bar.update)
    for name, failure in failed.items():
        print(f"qtm: the chain '{name}' failed: {failure.sentence}", file=sys.stderr)
    print(out)
    if failed:
        raise typer.Exit(1)


def _pool(
    workers: int | None, threads: int | None, device: str | None, scheduler: str | None
) -> Any:
    from empirical.errors import UserError
    from empirical.sweeps import cluster, local

    if scheduler is None:
        return local.LocalPool(local.slots(workers, threads, device))
    if workers or threads:
        raise UserError("--workers and --threads are for local processes, not for --scheduler")
    return cluster.ClusterPool(scheduler, device)


@app.command("status")
def chain_status(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a sweep, or of a run.")],
) -> None:
    """Show the progress of each chain of a sweep."""
    from empirical.sweeps.status import status

    rows = [("chain", "generation", "state", "last update", "error")]
    for chain in status(folder):
        when = f"{chain.updated.astimezone():%Y-%m-%d %H:%M:%S}" if chain.updated else "-"
        rows.append((chain.name, f"{chain.done} / {chain.total}", chain.state, when, chain.error))
    tables.show(rows)


@app.command("export-kohya")
def chain_export_kohya(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
    generation: Annotated[int, typer.Option(metavar="N", min=1, help="Generation to export.")],
    out: Annotated[Path, typer.Option(metavar="FILE.safetensors", help="The file to write.")],
) -> None:
    """Write a generation's LoRA with the names that kohya's scripts and most interfaces read."""
    from empirical import files
    from empirical.errors import UserError
    from empirical.runs.record import open_run

    opened = open_run(run)
    made = opened.generations()
    if generation >= len(made):
        raise UserError(
            f"the run '{run}' has no generation {generation}, the last is {len(made) - 1}"
        )
    if opened.recipe.finetune.method != "lora":
        raise UserError(f"the run '{run}' was finetuned in full: it has no LoRA to export")
    from empirical.pipeline import adapters

    weights = made[generation].folder / "lora" / adapters.WEIGHTS
    files.write_bytes(out, adapters.kohya(weights))
    print(out)


@app.command("keep")
def chain_keep(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the kept runs.")],
    images: Annotated[
        int, typer.Option(help="Number of images to keep of each generation.", min=0)
    ] = 0,
    draws: Annotated[
        bool, typer.Option(help="Keep also what selection and transmission are measured on.")
    ] = True,
    probes: Annotated[
        int, typer.Option(help="Most probes to keep of each generation.", min=0)
    ] = 10,
) -> None:
    """Write finished runs, thinned to the needs of figures and fits, as DIR/NAME.tar.xz."""
    from empirical.runs import kept
    from empirical.runs.record import open_run

    for folder in runs:
        print(kept.keep(open_run(folder), out, images, draws, probes))


@app.command("moments")
def chain_moments(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
) -> None:
    """Recompute RUN/moments.csv from the stored traits."""
    from empirical.runs.record import open_run

    open_run(run).rebuild_moments()
    print(run / "moments.csv")
