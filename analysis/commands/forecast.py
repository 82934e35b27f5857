"""``qtm forecast``: predict a chain, and the settings that would stabilize it."""

from pathlib import Path
from typing import Annotated

import typer

from analysis.commands import scan, tables
from analysis.commands.fits import Components, Trait
from empirical.errors import UserError

app = typer.Typer()


@app.command()
def forecast(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="The run to forecast, then further runs to fit with it; or the folder of a scan.",
        ),
    ],
    generations: Annotated[
        int, typer.Option(help="How many generations ahead; of a scan, from its real images on.")
    ] = 10,
    guidance: Annotated[
        float | None,
        typer.Option(help="CFG scale from now on; unchanged by default. Any scale for a scan."),
    ] = None,
    trait: Trait = "latent",
    component: Components = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Write the trajectories to this file; of a scan, those of all traits."),
    ] = None,
) -> None:
    """Predict a chain, when it loses half of its variance, and what would prevent that.

    From a scan alone: a chain at any CFG scale, before it is run.
    """
    if any(scan.is_scan(folder) for folder in runs):
        return scan.forecast(runs, generations, guidance, trait, component, csv)
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
    arm = described[0]
    scale = guidance if guidance is not None else float(arm.scales[-1].mean())
    tables.heading(arm.name, trait, scale, arm.generations)
    tables.trajectories(table)
    print()
    tables.half_lives(prediction.half_lives())
    neutral = tables.interval(quantiles(prediction.neutral), "none up to 20")
    print(f"neutral guidance scale: {neutral}")
    print(
        "fraction of real images in each training set that keeps V_W and V_B above half: "
        + tables.interval(quantiles(prediction.real), "none")
    )
    tables.assumptions(prediction.fitted)


forecast.out_of_memory = "use fewer runs at a time"
