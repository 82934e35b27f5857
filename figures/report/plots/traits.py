"""Traits against generation, with the fitted theory."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from analysis.arms.design import design
from analysis.arms.read import Arm
from analysis.comparison.fit import NAIVE, Result
from analysis.prediction.paths import one_step, trajectory
from figures.evidence import Evidence
from figures.pieces import legend_below
from figures.style import PAGE, Look
from figures.text import formula

ORDER = 30
CAPTION = (
    "Points: measured, with one standard error of sampling. Crosses: one-step predictions of the "
    "theory that best predicts held-out later generations, with parameters shared by all runs. "
    "Lines: the same theory run freely from generation 0, so that its errors accumulate; a line "
    "that leaves the points shows that the theory is wrong. Dotted "
    "lines: no theory predicted better than a naive forecast. Rows: mean, variance within and "
    "between prompts, in feature units (for the latents: averaged over coordinates)."
)


def draw(evidence: Evidence) -> Figure | None:
    """Draw mean, V_W and V_B of each fitted trait: a column per trait, a colour per run."""
    if not evidence.fits:
        return None
    figure = Figure(figsize=(PAGE, 5.2 + 0.16 * len(evidence.runs) / 2))
    axes = figure.subplots(3, len(evidence.fits), squeeze=False, sharex=True)
    for column, (label, result) in enumerate(evidence.fits.items()):
        _draw_one(axes[:, column], result, evidence.looks)
        axes[0, column].set_title(label)
        axes[2, column].set_xlabel("generation")
        for row in (1, 2):
            axes[row, column].set_ylim(bottom=0)
    for row, label in enumerate(("mean", "within prompts, $V_W$", "between prompts, $V_B$")):
        formula(axes[row, 0].set_ylabel(label))
    legend_below(figure, list(evidence.looks.values()), 1 if len(evidence.runs) < 3 else 2)
    return figure


def _draw_one(axes: np.ndarray, result: Result, looks: Mapping[str, Look]) -> None:
    stacked, theory = design(result.arms), result.of(result.best_theory)
    style = ":" if result.best in NAIVE else "-"
    free = trajectory(theory, stacked, np.zeros(len(result.arms), int))
    for arm, line, expected in zip(result.arms, free, one_step(theory, stacked), strict=True):
        look, G = looks[arm.name], arm.generations
        # The average over components, and its error if they are independent.
        error = np.sqrt(arm.sampling.sum(axis=2)) / arm.sampling.shape[2]
        for q, axis in enumerate(axes):
            z, *lines = (_in_units(x[: G + 1], q, arm) for x in (arm.measured, line, expected))
            e = error[:, q] * (np.sqrt(arm.unit.mean()) if q == 0 else z)
            axis.errorbar(range(G + 1), z, e, fmt=look.marker, color=look.colour, elinewidth=0.8)
            axis.plot(lines[0], style, color=look.colour, linewidth=1.2, alpha=0.9)
            axis.plot(range(1, G + 1), lines[1][1:], "x", color=look.colour, markersize=4)


def _in_units(y: np.ndarray, quantity: int, arm: Arm) -> np.ndarray:
    """Return one quantity of y [G + 1, 3, D] in feature units, averaged over components."""
    x = y[:, quantity]
    units = arm.centre + np.sqrt(arm.unit) * x if quantity == 0 else arm.unit * np.exp(x)
    return units.mean(axis=1)
