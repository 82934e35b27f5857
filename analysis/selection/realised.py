"""Realised heritability: the response to a selection that is known exactly.

Two lines learn from opposite parts of the same images (the highest and the lowest by a trait), a
control from all of them. With S = mean(learnt from) - mean(all), averaged over prompts, and R the
mean of the next unguided images,

    h^2 = (R_high - R_low) / (S_high - S_low)

(Falconer & Mackay 1996, ch. 11: divergent selection). Against the control each line has one of its
own; where these differ, the response is not symmetric.
"""

from dataclasses import dataclass

import numpy as np

from analysis.selection.draws import Sample
from analysis.selection.intervals import THESE, Estimate, student
from analysis.selection.read import Measured
from empirical.errors import UserError
from empirical.runs.record import Run


@dataclass(frozen=True)
class Line:
    """One line: S, the mean of the next unguided images, and the variance of its sampling error."""

    S: float
    mean: float
    variance: float


def realised_heritability(
    high: Run, low: Run, control: Run, trait: str, component: int = 0, generation: int = 2
) -> list[Estimate]:
    """Return S, R and h^2 of two divergent lines: `S_high`, `S_low`, `R_high`, `R_low` (against the
    control), `heritability`, `heritability_high`, `heritability_low`.

    S is exact; intervals (90 %) are for these prompts, from the sampling of images. Raises
    `UserError` where a run lacks the generation or the trait, or nothing was selected.
    """
    lines = {
        name: _line(run, trait, component, generation)
        for name, run in (("high", high), ("low", low), ("control", control))
    }
    up, down, base = (lines[name] for name in ("high", "low", "control"))
    if abs(up.S - down.S) < 1e-12:
        raise UserError(
            f"the runs '{high.name}' and '{low.name}' learnt from images of the same '{trait}' in "
            f"generation {generation}: nothing was selected"
        )
    rows = [Estimate("S_high", up.S), Estimate("S_low", down.S)]
    rows.append(
        _estimate(
            "heritability",
            (up.mean - down.mean) / (up.S - down.S),
            (up.variance + down.variance) / (up.S - down.S) ** 2,
        )
    )
    for name, line in (("high", up), ("low", down)):
        response = line.mean - base.mean
        variance = line.variance + base.variance
        rows.append(_estimate(f"R_{name}", response, variance))
        if line.S != 0:
            rows.append(_estimate(f"heritability_{name}", response / line.S, variance / line.S**2))
    return rows


def _line(run: Run, trait: str, component: int, generation: int) -> Line:
    measured = Measured(run)
    measured.require(trait)
    if generation not in measured.numbers:
        raise UserError(f"the run '{run.folder}' has no unguided images of generation {generation}")
    every = measured.guided(generation - 1, trait).component(component)
    training = measured.training(generation, trait).component(component)
    drawn = measured.unguided(generation, trait)
    assert drawn is not None
    drawn = drawn.component(component)
    C = len(drawn.codes)
    variance = float(np.sum(drawn.within / drawn.sizes)) / C**2
    return Line(_mean(training) - _mean(every), _mean(drawn), variance)


def _mean(sample: Sample) -> float:
    """Return the mean over prompts of their means."""
    return float(sample.means.mean())


def _estimate(name: str, value: float, variance: float) -> Estimate:
    return Estimate(name, value, *student(value, variance, np.inf), THESE)
