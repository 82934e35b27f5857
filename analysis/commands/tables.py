"""Forecasts, printed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from analysis.inference.maximum import Maximum

Ends = tuple[float, float, float]

FRACTION = "fraction of real images in each training set that keeps V_W and V_B above half"
_NAMES = {
    "within": "V_W, within prompts,",
    "between": "V_B, between prompts,",
    "total": "V_W + V_B",
}


def heading(name: str, trait: str, scale: float, last: int) -> None:
    """Print which trait of which chain follows, at which scale, and how much of it is measured."""
    known = "generation 0" if last == 0 else f"generations 0 to {last}"
    print(
        f"'{name}' at CFG {scale:g}, trait '{trait}', averaged over its components: {known} as "
        f"measured, then median and 90 % interval, in the trait's units"
    )


def trajectories(table: "pd.DataFrame") -> None:
    """Print low, median and high of each quantity, a generation a line."""
    levels = ["low", "median", "high"]
    wide = table.pivot_table(values=levels, index="generation", columns="quantity")
    order = [(level, quantity) for quantity in ("mean", "within", "between") for level in levels]
    shown = wide[order].T.swaplevel().T
    print(shown.to_string(float_format="{:.4g}".format))


def half_lives(intervals: Mapping[str, Ends]) -> None:
    """Print when variances fall below half of generation 0."""
    for name, ends in intervals.items():
        print(f"{_NAMES[name]} below half of generation 0: {_generation(ends)}")


def means(table: "pd.DataFrame") -> None:
    """Print means of traits in the last measured and the last predicted generation."""
    last = table.loc[table["measured"], "generation"].max()
    end = table["generation"].max()
    print(
        f"means of traits, in standard deviations of generation 0 from its mean: generation {last} "
        f"as measured, generation {end} with its 90 % interval"
    )
    wide = table.set_index(["trait", "generation"]).unstack()
    shown = wide[[("median", last), *((level, end) for level in ("low", "median", "high"))]]
    shown.columns = [str(last), f"{end} low", f"{end} median", f"{end} high"]
    print(shown.to_string(float_format="{:.2f}".format))


def assumptions(fitted: "Maximum") -> None:
    """Print in one sentence which parameters the priors decide, and not the data; and one for each
    parameter at the end of its range."""
    names = fitted.unidentified
    if names:
        print(
            f"qtm: about {', '.join(names[:-1])}{' and ' * (len(names) > 1)}{names[-1]} the priors "
            f"say more than these data: more generations and other CFG scales would tell"
        )
    for sentence in fitted.bounds:
        print(f"qtm: {sentence}")


def interval(ends: Ends, never: str) -> str:
    """Return a median with its interval, in words."""
    low, middle, high = (f"{x:.3g}" if x < float("inf") else never for x in ends)
    return f"{middle} (90 %: {low} to {high})"


def _generation(ends: Ends) -> str:
    if min(ends) == float("inf"):
        return "not yet, in all draws"
    low, middle, high = (f"generation {x:.0f}" if x < float("inf") else "not yet" for x in ends)
    return f"{middle} (90 %: {low} to {high})"
