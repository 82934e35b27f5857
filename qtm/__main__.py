"""The command line, ``qtm``: the only place that knows theory, chains, fits and figures.

Everything heavy is imported inside the command that needs it, so that ``qtm --help`` is quick and
a theorist needs no torch.
"""

import errno
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from empirical.errors import UserError

app = typer.Typer(
    help="Quantitative-trait models of diffusion models that are finetuned on their own images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
chain_app = typer.Typer(help="Run Chains of Diffusion.", no_args_is_help=True)
pretrain_app = typer.Typer(help="Train embedded models from scratch.", no_args_is_help=True)
app.add_typer(chain_app, name="chain")
app.add_typer(pretrain_app, name="pretrain")

# What one comparison of theories weighs beside one pass of the denoiser over one image.
_WORK_OF_A_FIT = 3000

RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")]


@chain_app.command("run")
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

    with _progress(f"chain {out}", chain.work(wanted)) as advance:
        chain.run(wanted, out, advance)
    print(out)


@chain_app.command("moments")
def chain_moments(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")],
) -> None:
    """Derive RUN/moments.csv from the stored traits again."""
    from empirical.records import open_run

    open_run(run).rebuild_moments()
    print(run / "moments.csv")


@app.command()
def fit(
    runs: RunFolders,
    trait: Annotated[str, typer.Option(help="Name of a stored trait.")] = "latent_pc",
    component: Annotated[
        list[int] | None, typer.Option(help="Component of the trait; all by default. May repeat.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the whole table to this file.")] = None,
) -> None:
    """Fit every theory to runs and compare their forecasts of the held-out last generation."""
    import pandas as pd

    from analysis.compare import compare
    from analysis.series import series
    from empirical import files
    from empirical.records import open_run

    tables = []
    for folder in runs:
        data = series(open_run(folder), trait, component)
        if data.generations < 2:
            raise UserError(f"the run '{folder}' has one generation: holding one out needs two")
        tables.append(compare(data).table())
    table = pd.concat(tables, ignore_index=True)
    if csv is not None:
        files.write_text(csv, table.to_csv(index=False))
    numbers = ["score", "mean_error", "within_error", "between_error", "aicc"]
    shown = table[["run", "theory", *numbers, "parameters", "warnings"]]
    print(shown.round(3).to_string(index=False))


@app.command()
def report(
    runs: RunFolders,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Its title.")] = "Chains of Diffusion",
) -> None:
    """Fit the theories to runs and write a report: one self-contained HTML file."""
    from empirical.records import open_run
    from figures import report as reports

    opened = [open_run(folder) for folder in runs]
    _must_have_own_names(runs)
    units = len(opened) * len(reports.TRAITS)
    with _progress("fitting", units) as advance:
        comparisons = reports.fits(opened, lambda: advance(1))
    reports.write(opened, out, title, comparisons)
    print(out)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demonstration.")] = Path("runs/demo"),
) -> None:
    """Run four small chains on the embedded model, fit the theories, and write a report."""
    from empirical.recipe import read

    recipes = Path(__file__).parents[1] / "empirical" / "recipes" / "demo"
    chains = {path.stem: read(path) for path in sorted(recipes.glob("*.toml"))}
    from empirical import chain
    from figures import report as reports

    total = sum(chain.work(recipe) for recipe in chains.values())
    total += _WORK_OF_A_FIT * len(chains) * len(reports.TRAITS)
    with _progress("demo", total) as advance:
        runs = [chain.run(recipe, out / name, advance) for name, recipe in chains.items()]
        comparisons = reports.fits(runs, lambda: advance(_WORK_OF_A_FIT))
        path = out / "report.html"
        reports.write(runs, path, "Four Chains of Diffusion on handwritten digits", comparisons)
    print(f"The report is {path}")


@pretrain_app.command("digits")
def pretrain_digits(
    out: Annotated[Path, typer.Option(help="Folder of the new model.")] = Path("runs/digits"),
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
) -> None:
    """Train the embedded model `digits` from scratch, judge it, and write its card.

    State is kept in OUT.seed-SEED while it goes; the same command given again goes on from there.
    """
    from empirical.digits import card, pretrain

    with _progress(f"pretrain {out}", pretrain.work() + card.work()) as advance:
        pretrain.pretrain(out, out.with_name(f"{out.name}.seed-{seed}"), seed, advance)
        card.write(out, card.judge(out, seed, advance), seed, pretrain.DETAILS)
    print(out)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show one bar for a whole job, or a line every tenth of it where there is no terminal."""
    try:
        with _bar(what, total) as advance:
            yield advance
    except KeyboardInterrupt:
        print("\nqtm: interrupted; give the same command again to go on", file=sys.stderr)
        raise SystemExit(130) from None


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda count: bar.update(task, advance=count)
        return
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        before, done = done, done + count
        if 10 * before // total < 10 * done // total:
            print(f"{what}: {100 * done // total} %", file=sys.stderr, flush=True)

    yield advance


def _must_have_own_names(runs: list[Path]) -> None:
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"two of the runs have the folder name '{twice}'; a report needs them apart"
        )


def _sentence(error: OSError) -> str:
    where = f" ('{error.filename}')" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"the disk is full{where}: free some space and give the same command again; what was "
            f"finished is kept"
        )
    return f"{error.strerror or error}{where}"


def main() -> None:
    """Run the command line; mistakes end in one sentence and exit code 2."""
    for quiet in ("TRANSFORMERS_VERBOSITY", "DIFFUSERS_VERBOSITY"):
        os.environ.setdefault(quiet, "error")
    warnings.formatwarning = lambda message, *_, **__: f"qtm: {message}\n"
    try:
        app()
    except UserError as error:
        sentence = str(error)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "diffusers", "peft", "transformers", "mlxtend"):
            raise
        sentence = (
            f"'{error.name}' is not installed: chains need the extra, "
            f"pip install 'diffusion-qtm[chain]'"
        )
    except OSError as error:
        sentence = _sentence(error)
    else:
        return
    print(f"qtm: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
