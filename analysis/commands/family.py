"""``qtm forecast`` of a running chain by the bounded family model."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.commands import running, scan, tables
from empirical.errors import UserError

if TYPE_CHECKING:
    from analysis.prediction.forecast import Forecast
    from analysis.prompts.forecast import Given
    from empirical.runs.record import Run
    from empirical.runs.scans import Scan

# How many generations, where nothing says how far.
AHEAD = 10


def forecast(
    runs: "Sequence[Run]",
    beside: "Scan | None",
    known: "Given | None",
    reason: str,
    generations: int | None,
    guidance: float | None,
    trait: str,
    components: Sequence[int] | None,
    csv: Path | None,
) -> None:
    """Print the forecast of a trait, and write it.

    The model is fitted to the runs. A scan beside them tells the neutral scale; means, those of all
    traits, are by the theory of prompts where `known` says what it is fitted to.
    """
    from analysis.arms.read import arms
    from analysis.prediction.forecast import forecast as ahead
    from analysis.prediction.forecast import quantiles
    from analysis.prompts.forecast import forecast as ahead_of_means
    from empirical import files

    described, left_out = arms(runs, trait, components)
    if described[0].name != runs[0].name:
        raise UserError(left_out[0])
    if generations is None:
        generations = AHEAD if known is None else known.ahead
    prediction = ahead(described, generations, guidance)
    neutral, complaint = _neutral_scale(prediction, beside)
    arm, table, theory = described[0], prediction.table(), None
    written = table
    if known is not None:
        theory = ahead_of_means(known, generations)
        written = running.with_means(table, theory.table())
        of_trait = theory.table([trait])
        of_trait = of_trait[of_trait["component"].isin(arm.components)]
        table = running.with_means(table, of_trait)
    if csv is not None:
        files.write_text(csv, written.to_csv(index=False))
    scale = guidance if guidance is not None else float(arm.scales[-1].mean())
    tables.heading(arm.name, trait, scale, arm.generations)
    if known is None:
        print(f"bounded family model, {reason}")
    else:
        print(f"V_W and V_B: bounded family model, {reason}")
        print(f"means: theory of prompts, {running.fitted_to(known)}")
    tables.trajectories(table)
    print()
    tables.half_lives(prediction.half_lives())
    print(neutral)
    print(f"{tables.FRACTION}: {tables.interval(quantiles(prediction.real), 'none')}")
    if theory is not None and len(theory.means()):
        print()
        tables.means(theory.means())
    if complaint:
        print(f"qtm: {complaint}")
    tables.assumptions(prediction.fitted)


def _neutral_scale(prediction: "Forecast", beside: "Scan | None") -> tuple[str, str]:
    """Return the neutral scale in words, of a scan if it tells one, and why it does not."""
    from analysis.prediction.forecast import quantiles

    complaint = ""
    if beside is not None:
        try:
            return scan.neutral_scale(beside), ""
        except UserError as error:
            complaint = f"the scan tells no neutral scale: {error}"
    ends = tables.interval(quantiles(prediction.neutral), "none up to 20")
    return f"neutral guidance scale: {ends}", complaint
