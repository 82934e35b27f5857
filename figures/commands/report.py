"""``qtm report``, ``qtm demo``: write reports of runs."""

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

from empirical.errors import UserError

app = typer.Typer()

# Cost of fitting a trait of all runs, in denoiser passes over one image.
_WORK_OF_A_FIT = 12000

RunFolders = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.")]


@app.command()
def report(
    runs: RunFolders,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    title: Annotated[str, typer.Option(help="Title of the report.")] = "Chains of Diffusion",
) -> None:
    """Fit the theories to runs and write a report: one self-contained HTML file."""
    from tqdm import tqdm

    from empirical.runs.record import open_run
    from figures.report import page as reports

    runs = [run if run.name not in ("", "..") else run.resolve() for run in runs]  # "." has no name
    opened = [open_run(folder) for folder in runs]
    _require_distinct_names(runs)
    with tqdm(total=len(reports.TRAITS), desc="fitting") as bar:
        fits = reports.fits(opened, bar.update)
    reports.write(opened, out, title, fits)
    print(out)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("runs/demo"),
    model: Annotated[str, typer.Option(help="Embedded model.")] = "digits",
) -> None:
    """Run four small chains on an embedded model, fit the theories, and write a report."""
    from empirical.recipe import read

    with as_file(files("empirical") / "recipes" / "demo") as folder:
        models = sorted(path.name for path in folder.iterdir() if path.is_dir())
        if model not in models:
            raise UserError(f"--model is '{model}', there is a demo of {', '.join(models)}")
        recipes = {path.stem: read(path) for path in sorted((folder / model).glob("*.toml"))}
    from tqdm import tqdm

    from empirical import Chain
    from figures.report import page as reports

    chains = [Chain(recipe, out / name) for name, recipe in recipes.items()]
    total = sum(chain.work for chain in chains) + _WORK_OF_A_FIT * len(reports.TRAITS)
    with tqdm(total=total, desc="demo", unit=" passes") as bar:
        runs = [chain.run(bar.update) for chain in chains]
        fits = reports.fits(runs, lambda count: bar.update(count * _WORK_OF_A_FIT))
        path = out / "report.html"
        reports.write(runs, path, f"Four Chains of Diffusion: {model}", fits)
    print(f"The report is {path}")


def _require_distinct_names(runs: list[Path]) -> None:
    names = [run.name for run in runs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"two runs have the folder name '{twice}'; a report needs different names")
