"""``qtm forecast`` of a running chain by the theory of prompts, beside chains at other scales."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.commands import tables
from empirical.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.arms.record import Record
    from analysis.prompts.forecast import Given
    from empirical.runs.record import Run


def given(
    sources: "Sequence[Record]",
    guidance: float | None,
    trait: str,
    components: Sequence[int] | None,
) -> "Given":
    """Return the chains that the theory of prompts forecasts the first run from.

    Raises `UserError`, with the reason, for questions that it cannot answer.
    """
    from analysis.prompts import forecast
    from analysis.prompts.coordinates import BETWEEN
    from analysis.prompts.reading import AXES
    from empirical.runs.prompts import LATENT

    known = forecast.given(sources, trait)
    first = known.chains[0]
    if guidance is not None and guidance != first.label:
        raise UserError(
            f"of chains that change their CFG scale, here from {first.label:g} to {guidance:g}, it "
            f"knows none"
        )
    traits = [*(name for name in first.traits if name != BETWEEN), AXES]
    if trait not in traits:
        raise UserError(f"it has no trait '{trait}', it has {', '.join(traits)}")
    K = first.means.shape[-1] if trait == AXES else 1
    if trait == LATENT and components is not None:
        raise UserError(f"of '{trait}' it has the average over components alone")
    wrong = [c for c in components or () if not 0 <= c < K]
    if wrong:
        raise UserError(f"trait '{trait}' has no component {wrong[0]}, allowed are 0 to {K - 1}")
    return known


def fitted_to(known: "Given") -> str:
    """Return what the theory is fitted to, in words."""
    scales = ", ".join(f"{w:g}" for w in known.scales)
    return f"fitted to this run and to {len(known.chains) - 1} at CFG {scales}"


def with_means(table: "pd.DataFrame", of_theory: "pd.DataFrame") -> "pd.DataFrame":
    """Return the V_W and V_B of a table of one theory, and the means of that of another."""
    import pandas as pd

    parts = [of_theory[of_theory["quantity"] == "mean"], table[table["quantity"] != "mean"]]
    order = ["feature", "component", "generation"]
    return pd.concat(parts).sort_values(order, kind="stable", ignore_index=True)


def forecast(
    known: "Given",
    runs: "Sequence[Run]",
    generations: int | None,
    trait: str,
    components: Sequence[int] | None,
    csv: Path | None,
) -> None:
    """Print the forecast of a trait and of the means of all, and write those of all traits."""
    from analysis.prediction.forecast import half_lives, quantiles
    from analysis.prompts.forecast import forecast as ahead
    from empirical import files

    prediction = ahead(known, generations)
    if csv is not None:
        files.write_text(csv, prediction.table().to_csv(index=False))
    table, paths = prediction.table([trait]), prediction.paths[trait]
    if components is not None:
        table = table[table["component"].isin(components)]
        paths = paths[..., list(components)]
    tables.heading(prediction.name, trait, prediction.scale, prediction.last)
    print(f"theory of prompts, {fitted_to(known)}")
    tables.trajectories(table)
    print()
    tables.half_lives(half_lives(paths))
    greatest = max(chain.label for chain in known.chains)
    neutral = tables.interval(quantiles(prediction.neutral), f"above {greatest:g}")
    print(f"neutral guidance scale of generation 1: {neutral}")
    _print_fraction(runs, len(paths[0]) - 1 - prediction.last, trait, components)
    means = prediction.means()
    if len(means):
        print()
        tables.means(means)


def _print_fraction(
    runs: "Sequence[Run]", ahead: int, trait: str, components: Sequence[int] | None
) -> None:
    """Print the fraction of real images that holds the chain, by the bounded family model."""
    from analysis.arms.read import arms
    from analysis.prediction.forecast import forecast, quantiles

    described, left_out = arms(runs, trait, components)
    if described[0].name != runs[0].name:
        print(f"qtm: no fraction of real images: {left_out[0]}")
        return
    real = tables.interval(quantiles(forecast(described, ahead).real), "none")
    print(f"{tables.FRACTION}, by the bounded family model: {real}")
