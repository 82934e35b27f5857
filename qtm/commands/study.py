"""``qtm fit``, ``qtm report``, ``qtm demo``: from runs to theories and pictures."""

from pathlib import Path
from typing import Annotated

import typer

from empirical.errors import UserError
from qtm.commands.progress import progress

app = typer.Typer()

# What one comparison of theories weighs beside one pass of the denoiser over one image.
_WORK_OF_A_FIT = 3000

RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")]


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
    with progress("fitting", units) as advance:
        comparisons = reports.fits(opened, lambda: advance(1))
    reports.write(opened, out, title, comparisons)
    print(out)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demonstration.")] = Path("runs/demo"),
) -> None:
    """Run four small chains on the embedded model, fit the theories, and write a report."""
    from empirical.recipe import read

    recipes = Path(__file__).parents[2] / "empirical" / "recipes" / "demo"
    chains = {path.stem: read(path) for path in sorted(recipes.glob("*.toml"))}
    from empirical import chain
    from figures import report as reports

    total = sum(chain.work(recipe) for recipe in chains.values())
    total += _WORK_OF_A_FIT * len(chains) * len(reports.TRAITS)
    with progress("demo", total) as advance:
        runs = [chain.run(recipe, out / name, advance) for name, recipe in chains.items()]
        comparisons = reports.fits(runs, lambda: advance(_WORK_OF_A_FIT))
        path = out / "report.html"
        reports.write(runs, path, "Four Chains of Diffusion on handwritten digits", comparisons)
    print(f"The report is {path}")


def _must_have_own_names(runs: list[Path]) -> None:
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"two of the runs have the folder name '{twice}'; a report needs them apart"
        )
