"""``qtm forecast``: predict a chain, and the settings that would stabilize it."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from analysis.commands import family, running, scan
from analysis.commands.fits import Components, Trait
from empirical.errors import UserError

app = typer.Typer()


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
            help="The run to forecast, then further runs to fit with it, and a scan, if there is "
            "one; or the folder of a scan alone.",
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
            help="Write the trajectories to this file; by the theory of prompts, and of a scan "
            "alone, those of all traits; beside a scan the means of all."
        ),
    ] = None,
    theory: Annotated[
        Theory | None,
        typer.Option(
            help="The theory of prompts, or the bounded family model. By default the first where "
            "runs at three other CFG scales or more, lower and higher ones, have gone further with "
            "the same prompts; and up to generation 6 where runs at three others are at generation "
            "2 like it. Beside a scan at three others it forecasts, from generation 2 to 6, means "
            "of traits alone."
        ),
    ] = None,
) -> None:
    """Predict a chain, when it loses half of its variance, and what would prevent that.

    From a scan alone: a chain at any CFG scale, before it is run.
    """
    from analysis.scans.step import steps
    from empirical.runs.record import open_run
    from empirical.runs.scans import open_scan

    if generations is not None and generations < 1:
        raise UserError(f"a forecast needs 1 generation or more, got {generations}")
    of_scans = [folder for folder in runs if scan.is_scan(folder)]
    if len(of_scans) > 1:
        named = ", ".join(f"'{folder}'" for folder in of_scans)
        raise UserError(f"a forecast takes one scan, not {len(of_scans)}: {named}")
    beside = open_scan(of_scans[0]) if of_scans else None
    if beside is not None and len(of_scans) == len(runs):
        if theory == Theory.PROMPTS:
            raise UserError(
                "a scan is forecast by the bounded family model, not by '--theory prompts'"
            )
        ahead_of_scan = family.AHEAD if generations is None else generations
        return scan.forecast(beside, ahead_of_scan, guidance, trait, component, csv)
    opened = [open_run(folder) for folder in runs if folder not in of_scans]
    why = "" if beside is None else scan.unlike(beside, opened[0])
    if beside is not None and why:
        print(f"qtm: left out: the scan '{beside.folder}', {why}")
        beside = None
    known, reason = None, "as asked"
    if theory != Theory.FAMILY:
        try:
            sources = [*opened, *(steps(beside) if beside is not None else ())]
            known = running.given(sources, guidance, trait, component)
        except UserError as error:
            if theory == Theory.PROMPTS:
                raise UserError(f"the theory of prompts cannot forecast this: {error}") from None
            reason = f"not the theory of prompts: {error}"
    if known is not None:
        for sentence in known.left_out:
            print(f"qtm: left out of the theory of prompts: {sentence}")
        doubt = known.doubt(generations)
        if theory == Theory.PROMPTS or not doubt:
            running.forecast(known, opened, generations, trait, component, csv)
            if doubt:
                print(f"qtm: this is not what the theory of prompts is best at: {doubt}")
            return
        reason = f"not the theory of prompts: {doubt}"
        refused = known.doubt_of_means(generations) or (scan.unfamiliar(beside) if beside else "")
        if refused:
            more = beside is not None and refused != doubt
            reason += f"; nor for means of traits: {refused}" if more else ""
            known = None
    family.forecast(opened, beside, known, reason, generations, guidance, trait, component, csv)


forecast.out_of_memory = "use fewer runs at a time"
