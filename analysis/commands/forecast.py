"""``qtm forecast``: predict a chain, and the settings that would stabilize it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from analysis.commands import running, scan, tables
from analysis.commands.fits import Components, Trait
from empirical.errors import UserError

app = typer.Typer()
# Of a run without others, and of a scan from its real images on.
_AHEAD = 10


class Theory(StrEnum):
    """The theory that forecasts a chain."""

    PROMPTS = "prompts"
    FAMILY = "family"


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
        int | None,
        typer.Option(
            help="How many generations ahead; of a scan, from its real images on. By default 10, "
            "or with the theory of prompts as many as the other runs have, 4 where none has more."
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="CFG scale from now on; unchanged by default. Any scale for a scan."),
    ] = None,
    trait: Trait = "latent",
    component: Components = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            help="Write the trajectories to this file; of a scan and by the theory of prompts, "
            "those of all traits."
        ),
    ] = None,
    theory: Annotated[
        Theory | None,
        typer.Option(
            help="The theory of prompts, or the bounded family model. By default the first where "
            "runs at three other CFG scales or more, lower and higher ones, have gone further with "
            "the same prompts; and up to generation 6 where runs at three others are at generation "
            "2 like it."
        ),
    ] = None,
) -> None:
    """Predict a chain, when it loses half of its variance, and what would prevent that.

    From a scan alone: a chain at any CFG scale, before it is run.
    """
    if any(scan.is_scan(folder) for folder in runs):
        if theory == Theory.PROMPTS:
            raise UserError(
                "a scan is forecast by the bounded family model, not by '--theory prompts'"
            )
        ahead_of_scan = _AHEAD if generations is None else generations
        return scan.forecast(runs, ahead_of_scan, guidance, trait, component, csv)
    from analysis.arms.read import arms
    from analysis.prediction.forecast import forecast as ahead
    from analysis.prediction.forecast import quantiles
    from empirical import files
    from empirical.runs.record import open_run

    if generations is not None and generations < 1:
        raise UserError(f"a forecast needs 1 generation or more, got {generations}")
    opened = [open_run(folder) for folder in runs]
    reason = "as asked"
    if theory != Theory.FAMILY:
        try:
            known, doubt = running.given(opened, generations, guidance, trait, component)
        except UserError as error:
            if theory == Theory.PROMPTS:
                raise UserError(f"the theory of prompts cannot forecast this: {error}") from None
            known, doubt = None, str(error)
        if known is not None and (theory == Theory.PROMPTS or not doubt):
            running.forecast(known, opened, generations, trait, component, csv)
            if doubt:
                print(f"qtm: this is not what the theory of prompts is best at: {doubt}")
            return
        reason = f"not the theory of prompts: {doubt}"
    described, left_out = arms(opened, trait, component)
    if described[0].name != opened[0].name:
        raise UserError(left_out[0])
    prediction = ahead(described, _AHEAD if generations is None else generations, guidance)
    table = prediction.table()
    if csv is not None:
        files.write_text(csv, table.to_csv(index=False))
    arm = described[0]
    scale = guidance if guidance is not None else float(arm.scales[-1].mean())
    tables.heading(arm.name, trait, scale, arm.generations)
    print(f"bounded family model, {reason}")
    tables.trajectories(table)
    print()
    tables.half_lives(prediction.half_lives())
    neutral = tables.interval(quantiles(prediction.neutral), "none up to 20")
    print(f"neutral guidance scale: {neutral}")
    print(f"{tables.FRACTION}: {tables.interval(quantiles(prediction.real), 'none')}")
    tables.assumptions(prediction.fitted)


forecast.out_of_memory = "use fewer runs at a time"
