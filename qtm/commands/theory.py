"""``qtm simulate``, ``qtm sweep``, ``qtm forms``: theory from the command line."""

from pathlib import Path
from typing import Annotated, Any

import typer

from qtm.errors import UserError

app = typer.Typer()

_FORM = "A form and its parameters, such as '{}'; 'qtm forms' lists all."


@app.command()
def simulate(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL.toml]", help="A file like that of qtm sweep, without lists."
        ),
    ] = None,
    selection: Annotated[str, typer.Option(help=_FORM.format("Truncation fraction=0.2"))] = "",
    mutation: Annotated[
        str, typer.Option(help=_FORM.format("GaussianMutation variance=0.02"))
    ] = "",
    inheritance: Annotated[
        str,
        typer.Option(help=_FORM.format("Regression heritability=0.9 base_mean=0 base_variance=1")),
    ] = "",
    state: Annotated[
        str, typer.Option(help="Generation 0, such as 'Individuals mean=0 variance=1 size=500'.")
    ] = "",
    size: Annotated[int | None, typer.Option(min=1, help="Number N of images sampled.")] = None,
    generations: Annotated[
        int | None, typer.Option(min=0, help="Number of generations, by default 20.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of all randomness; moments need none.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw it into this .png, .pdf or .svg.")] = None,
) -> None:
    """Evolve one population and print its mean and variance in every generation.

    One generation is inherit (finetune) -> select (guided sampling) -> mutate -> sample N images.
    Parts that are left out do nothing. Options override MODEL.toml. A parameter that changes with
    time is '{start=0,slope=0.1}', start + slope t in generation t; moments within a form are
    '{mean=0,variance=1.3}':

    qtm simulate --selection 'Stabilizing optimum={start=0,slope=0.1} width2=5'

    qtm simulate --selection 'Guidance scale=2.5 unconditional={mean=0,variance=1.3}'
    """
    from qtm.commands import forms, model_file

    table = model_file.read(file) if file is not None else {}
    lines = {"selection": selection, "mutation": mutation, "inheritance": inheritance}
    for part, line in {**lines, "state": state}.items():
        if line:
            table[part] = forms.table_of(part, line)
    for key, value in {"size": size, "generations": generations, "seed": seed}.items():
        if value is not None:
            table[key] = value
    model = model_file.parse(table, "the model" if file is None else f"'{file}'")
    if model.axes:
        name = next(iter(model.axes))
        raise UserError(
            f"'{name}' has several values: 'qtm sweep' evolves more than one population"
        )
    records = _trajectory(model)
    if csv is not None:
        _write(csv, records.to_csv(index=False))
    if plot is not None:
        _draw(records, plot)
    print(records.to_string(index=False))


@app.command()
def sweep(
    grid: Annotated[Path, typer.Argument(metavar="GRID.toml", help="The model and its grid.")],
    out: Annotated[Path, typer.Option(metavar="PATH", help="A .zarr store, or a .nc file.")],
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers compute."),
    ] = None,
) -> None:
    """Evolve a population at every point of a grid of parameters, or resume it.

    GRID.toml is a model, in which a list is a dimension of the grid, and so is a range:

    \b
    generations = 50             # 20
    keep = "all"                 # every generation; "last" by default
    seed = 0                     # needed for anything random
    replicates = 10              # each with a separate key; none by default
    size = [100, 1000]           # images sampled; no drift without
    [state]                      # generation 0
    form = "Moments"             # or "Individuals", with size = 500; "Density"
    mean = 0.0
    variance = 1.0
    [selection]                  # likewise [mutation], [inheritance]
    form = "Stabilizing"         # 'qtm forms' lists all with their keys
    optimum = [0.0, 0.5, 1.0]
    width2 = { from = 1, to = 50, count = 100, spacing = "log" }   # or "linear"

    The dimensions of the result are named selection_width2, size, ... It is written while it is
    computed, so the grid may be larger than memory; run the same command again to resume it.
    """
    from qtm.commands import model_file

    model = model_file.parse(model_file.read(grid), f"'{grid}'")
    from tqdm import tqdm

    import qtm
    from qtm.sweeps.grid import Grid

    file = model.file
    try:
        points = Grid.of(model.axes, model.fixed, file.replicates).shape
        total = 1
        for points_of_axis in points:
            total *= points_of_axis
        with tqdm(total=total, desc=f"sweep {out}") as bar:
            data = qtm.sweep(
                model.cycle_of, model.axes, model.state, file.generations, keep=file.keep,
                key=model.key, replicates=file.replicates, fixed=model.fixed, out=out,
                scheduler=scheduler, progress=bar.update,
            )  # fmt: skip
    except ValueError as error:
        raise UserError(str(error).rstrip(".")) from error
    lost = int(data["variance"].isnull().sum())
    if lost:
        print(f"{lost} of {data['variance'].size} entries are undefined (nan)", file=_stderr())
    print(out)


@app.command("forms")
def list_forms() -> None:
    """List every form of selection, mutation, inheritance and population, with its keys."""
    from qtm.commands import forms

    for part in forms.PARTS:
        print(part)
        for form in forms.forms(part).values():
            keys = [key if key in form.required else f"[{key}]" for key in form.keys]
            print(f"  {' '.join([form.name, *keys])}\n      {form.summary}")


def _stderr() -> Any:
    import sys

    return sys.stderr


def _trajectory(model: Any) -> Any:
    import numpy as np
    import pandas as pd

    import qtm

    try:
        path = qtm.evolve(
            model.cycle_of({}), model.state, generations=model.file.generations, key=model.key
        )
    except ValueError as error:
        raise UserError(f"{str(error).rstrip('.')}") from error
    columns = {"mean": np.asarray(path.mean), "variance": np.asarray(path.variance)}
    return pd.DataFrame({"generation": np.arange(len(path.mean)), **columns})


def _draw(records: Any, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.8), layout="constrained")
    axes = figure.subplots(1, 2)
    for ax, name, units in zip(axes, ("mean", "variance"), ("", "²"), strict=True):
        ax.plot(records["generation"], records[name], marker=".")
        ax.set(xlabel="generation", ylabel=f"{name} (feature units{units})")
    try:
        figure.savefig(path)
    except ValueError as error:
        raise UserError(f"the plot '{path}' cannot be written: {error}") from None


def _write(path: Path, text: str) -> None:
    """Write a file that appears only when it is complete."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"the table '{path}' cannot be written: {reason}") from error


simulate.out_of_memory = sweep.out_of_memory = (
    "sweep fewer parameter sets at a time, or smaller populations"
)
