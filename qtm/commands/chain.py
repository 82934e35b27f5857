"""``qtm chain``: run Chains of Diffusion."""

from pathlib import Path
from typing import Annotated

import typer

from qtm.commands.progress import progress

app = typer.Typer(help="Run Chains of Diffusion.", no_args_is_help=True)


@app.command("run")
def chain_run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to run.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder of the run.")],
) -> None:
    """Run a chain, or go on with an interrupted one.

    The same command given again after an interruption ends with the same files.
    """
    from empirical.recipe import read

    wanted = read(recipe)
    from empirical import chain

    with progress(f"chain {out}", chain.work(wanted)) as advance:
        chain.run(wanted, out, advance)
    print(out)


@app.command("moments")
def chain_moments(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
) -> None:
    """Derive RUN/moments.csv from the stored traits again."""
    from empirical.records import open_run

    open_run(run).rebuild_moments()
    print(run / "moments.csv")
