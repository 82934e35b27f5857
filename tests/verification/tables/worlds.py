"""Claims about chains in three worlds: generation 6, one or two seeds."""

from collections.abc import Callable

import numpy as np

from empirical.runs.record import Run
from tests.verification._worlds import (
    LAST,
    WORLDS,
    World,
    change,
    measured,
    moments,
    neutral,
    shift,
)
from tests.verification.tables import markdown, signed

_TRAITS = {
    "brightness": "pixel_mean",
    "entropy": "entropy",
    "saturation": "saturation",
    "colourfulness": "colourfulness",
}


def table() -> str:
    """Return a row for each claim, a column for each world."""
    rows = [
        ["V_W at CFG 1", *_each(lambda w: _percent(w.at(1), "within"))],
        ["V_W at CFG 7.5", *_each(lambda w: _percent(w.at(7.5), "within"))],
        ["V_B at CFG 1", *_each(lambda w: _percent(w.at(1), "between"))],
        ["V_B at CFG 7.5", *_each(lambda w: _percent(w.at(7.5), "between"))],
        ["ln V_B: range over scales, seeds", *_each(_ranges)],
        ["neutral scale, generation 1", *_each(lambda w: _scales(neutral(w, 1)))],
        ["neutral scale, generation 6", *_each(lambda w: _scales(neutral(w, LAST)))],
        *([f"{name}, CFG 1 and 7.5", *_each(_shifts(trait))] for name, trait in _TRAITS.items()),
        ["recognised: real, CFG 1, 7.5", *_each(lambda w: _measures(w, "accuracy", 100, " %"))],
        ["Fréchet: real, CFG 1, 7.5", *_each(lambda w: _measures(w, "frechet", 1, ""))],
        ["best of these scales by Fréchet", *_each(_best)],
        ["ReDiFine at 7.5: V_W", *_each(lambda w: _percent(w.remedied(), "within"))],
        ["ReDiFine at 7.5: V_B", *_each(lambda w: _percent(w.remedied(), "between"))],
        ["ReDiFine at 7.5: Fréchet", *_each(lambda w: _numbers(w.remedied(), "frechet"))],
    ]
    return markdown(["", *(world.label for world in WORLDS)], "lrrr", rows)


def _each(cell: Callable[[World], str]) -> list[str]:
    return [cell(world) for world in WORLDS]


def _percent(runs: list[Run], quantity: str) -> str:
    return ", ".join(f"{100 * change(run, quantity):.0f} %" for run in runs)


def _numbers(runs: list[Run], measure: str) -> str:
    return ", ".join(f"{measured(run, measure):.0f}" for run in runs)


def _ranges(world: World) -> str:
    """Return the range of ln V_B over scales, and the mean difference between two seeds."""
    ends = [[np.log(change(run, "between")) for run in world.at(w)] for w in world.scales()]
    means = [np.mean(seeds) for seeds in ends]
    between = [abs(seeds[0] - seeds[1]) for seeds in ends if len(seeds) > 1]
    of_seeds = f"{np.mean(between):.2f}" if between else "–"
    return f"{max(means) - min(means):.2f}, {of_seeds}"


def _scales(found: list[float]) -> str:
    return ", ".join(f"{w:.2f}" if np.isfinite(w) else "–" for w in found)


def _shifts(trait: str) -> Callable[[World], str]:
    def cell(world: World) -> str:
        if moments(world.at(1)[0], trait).empty:
            return "–"
        means = [np.mean([shift(run, trait) for run in world.at(w)]) for w in (1, 7.5)]
        return ", ".join(signed(float(value), 1) for value in means)

    return cell


def _measures(world: World, measure: str, factor: float, unit: str) -> str:
    real = measured(world.at(1)[0], measure, 0)
    ends = [np.mean([measured(run, measure) for run in world.at(w)]) for w in (1, 7.5)]
    return ", ".join(f"{factor * value:.0f}{unit}" for value in (real, *ends))


def _best(world: World) -> str:
    """Return the scale with the least mean Fréchet distance, and that distance."""
    distances = {
        w: float(np.mean([measured(run, "frechet") for run in world.at(w)])) for w in world.scales()
    }
    best = min(distances, key=lambda w: distances[w])
    return f"{best:g}: {distances[best]:.0f}"
