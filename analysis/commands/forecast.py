"""``qtm forecast``: predict a chain, and the settings that would stabilize it."""

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
        typer.Argument(
            metavar="RUN...", help="The run to forecast, then further runs to fit with it."
        ),
    ],
    generations: Annotated[int, typer.Option(help="How many generations ahead.")] = 10,
    guidance: Annotated[
        float | None, typer.Option(help="CFG scale from now on; unchanged by default.")
    ] = None,
    trait: Trait = "latent",
    component: Components = None,
    csv: Annotated[Path | None, typer.Option(help="Write the trajectories to this file.")] = None,
) -> None:
    """Predict a chain, when it loses half of its variance, and what would prevent that."""
    from analysis.arms.read import arms
    from analysis.prediction.forecast import forecast as ahead
    from analysis.prediction.forecast import quantiles
    from empirical import files
    from empirical.runs.record import open_run

    opened = [open_run(folder) for folder in runs]
    described, left_out = arms(opened, trait, component)
    if described[0].name != opened[0].name:
        raise UserError(left_out[0])
    prediction = ahead(described, generations, guidance)
    table = prediction.table()
    if csv is not None:
        files.write_text(csv, table.to_csv(index=False))
    levels = ["low", "median", "high"]
    wide = table.pivot_table(values=levels, index="generation", columns="quantity")
    order = [(level, quantity) for quantity in ("mean", "within", "between") for level in levels]
    shown = wide[order].T.swaplevel().T
    print(shown.to_string(float_format="{:.4g}".format))
    print()
    names = {
        "within": "V_W, within prompts,",
        "between": "V_B, between prompts,",
        "total": "V_W + V_B",
    }
    for name, interval in prediction.half_lives().items():
        print(f"{names[name]} below half of generation 0: {_generation(interval)}")
    print(f"neutral CFG scale: {_interval(quantiles(prediction.neutral), 'none up to 20')}")
    print(
        "fraction of real images in each training set that keeps V_W and V_B above half: "
        + _interval(quantiles(prediction.real), "none")
    )
    for sentence in prediction.fitted.warnings:
        print(f"qtm: {sentence}")


forecast.out_of_memory = "use fewer runs at a time"


def _interval(ends: tuple[float, float, float], never: str) -> str:
    low, middle, high = (f"{x:.3g}" if x < float("inf") else never for x in ends)
    return f"{middle} (90 %: {low} to {high})"


def _generation(ends: tuple[float, float, float]) -> str:
    low, middle, high = (f"generation {x:.0f}" if x < float("inf") else "not yet" for x in ends)
    return f"{middle} (90 %: {low} to {high})"
