"""Forecasts, printed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

Ends = tuple[float, float, float]

_NAMES = {
    "within": "V_W, within prompts,",
    "between": "V_B, between prompts,",
    "total": "V_W + V_B",
}


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


def interval(ends: Ends, never: str) -> str:
    """Return a median with its interval, in words."""
    low, middle, high = (f"{x:.3g}" if x < float("inf") else never for x in ends)
    return f"{middle} (90 %: {low} to {high})"


def _generation(ends: Ends) -> str:
    low, middle, high = (f"generation {x:.0f}" if x < float("inf") else "not yet" for x in ends)
    return f"{middle} (90 %: {low} to {high})"
