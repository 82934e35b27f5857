"""``qtm report``, ``qtm demo``: from runs to pictures."""

from pathlib import Path
from typing import Annotated

import typer

from empirical.errors import UserError
from qtm.commands.progress import progress

app = typer.Typer()

# What fitting a trait of all runs weighs beside one pass of the denoiser over one image.
_WORK_OF_A_FIT = 12000

RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")]


@app.command()
def report(
    runs: RunFolders,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Its title.")] = "Chains of Diffusion",
) -> None:
    """Fit the theories to runs and write a report: one self-contained HTML file."""
    from empirical.runs.record import open_run
    from figures.report import page as reports

    runs = [run if run.name not in ("", "..") else run.resolve() for run in runs]  # "." has no name
    opened = [open_run(folder) for folder in runs]
    _must_have_own_names(runs)
    with progress("fitting", len(reports.TRAITS)) as advance:
        fits = reports.fits(opened, lambda: advance(1))
    reports.write(opened, out, title, fits)
    print(out)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the demonstration.")] = Path("runs/demo"),
) -> None:
    """Run four small chains on the embedded model, fit the theories, and write a report."""
    from empirical.recipe import read

    recipes = Path(__file__).parents[2] / "empirical" / "recipes" / "demo"
    chains = {path.stem: read(path) for path in sorted(recipes.glob("*.toml"))}
    from empirical.chain import loop
    from figures.report import page as reports

    total = sum(loop.work(recipe) for recipe in chains.values())
    total += _WORK_OF_A_FIT * len(reports.TRAITS)
    with progress("demo", total) as advance:
        runs = [loop.run(recipe, out / name, advance) for name, recipe in chains.items()]
        fits = reports.fits(runs, lambda: advance(_WORK_OF_A_FIT))
        path = out / "report.html"
        reports.write(runs, path, "Four Chains of Diffusion on handwritten digits", fits)
    print(f"The report is {path}")


def _must_have_own_names(runs: list[Path]) -> None:
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"two of the runs have the folder name '{twice}'; a report needs them apart"
        )
