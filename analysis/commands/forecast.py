"""``qtm forecast``: where a chain goes, and what would hold it."""

from pathlib import Path
from typing import Annotated

import typer

from analysis.commands.fits import Components, Trait
from empirical.errors import UserError

app = typer.Typer()


@app.command()
def forecast(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="The run to forecast; more runs help to fit."),
    ],
    generations: Annotated[int, typer.Option(help="How many generations ahead.")] = 10,
    guidance: Annotated[
        float | None, typer.Option(help="CFG scale from now on; as it was by default.")
    ] = None,
    trait: Trait = "latent",
    component: Components = None,
    csv: Annotated[Path | None, typer.Option(help="Write the trajectories to this file.")] = None,
) -> None:
    """Say where a chain goes, when it has lost half of its variance, and what would hold it."""
    from analysis.arms.read import arms
    from analysis.prediction.forecast import forecast as ahead
    from analysis.prediction.forecast import quantiles
    from empirical import files
    from empirical.runs.record import open_run

    opened = [open_run(folder) for folder in runs]
    found, left_out = arms(opened, trait, component)
    if found[0].name != opened[0].name:
        raise UserError(left_out[0])
    said = ahead(found, generations, guidance)
    table = said.table()
    if csv is not None:
        files.write_text(csv, table.to_csv(index=False))
    levels = ["low", "median", "high"]
    whole = table.pivot_table(values=levels, index="generation", columns="quantity")
    order = [(level, quantity) for quantity in ("mean", "within", "between") for level in levels]
    shown = whole[order].T.swaplevel().T
    print(shown.to_string(float_format="{:.4g}".format))
    print()
    names = {
        "within": "V_W, within prompts,",
        "between": "V_B, between prompts,",
        "total": "V_W + V_B",
    }
    for name, interval in said.half_lives().items():
        print(f"{names[name]} below half of generation 0: {_generation(interval)}")
    print(f"neutral CFG scale: {_interval(quantiles(said.neutral), 'none up to 20')}")
    print(
        "share of real images in each training set that keeps V_W and V_B above half: "
        + _interval(quantiles(said.real), "none")
    )
    for sentence in said.fitted.warnings:
        print(f"qtm: {sentence}")


forecast.out_of_memory = "take fewer runs at a time"


def _interval(of: tuple[float, float, float], never: str) -> str:
    low, middle, high = (f"{x:.3g}" if x < float("inf") else never for x in of)
    return f"{middle} (90 %: {low} to {high})"


def _generation(of: tuple[float, float, float]) -> str:
    low, middle, high = (f"generation {x:.0f}" if x < float("inf") else "not yet" for x in of)
    return f"{middle} (90 %: {low} to {high})"
