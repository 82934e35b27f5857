"""Traits against generation, with the fitted theory drawn through them."""

import numpy as np
from matplotlib.figure import Figure

from analysis.one_chain import one_step, trajectory
from figures.evidence import Evidence
from figures.pieces import legend_below
from figures.style import PAGE, Look

ORDER = 30
CAPTION = (
    "Points: measured, with one standard error of sampling. Crosses: what one theory, the best "
    "at predicting the held-out last generation (open point), expected of each generation from "
    "the one before. Lines: the same theory run freely from generation 0, so that its errors add "
    "up; a line that leaves the points says that the theory is wrong. A dotted line: no theory "
    "predicted better than the naive forecast of no change. Rows: mean, variance within and "
    "between prompts, in feature units (for the latents: averaged over coordinates)."
)


def draw(evidence: Evidence) -> Figure | None:
    """Draw mean, V_W and V_B of each fitted trait, a column a trait, a colour a run."""
    traits = list(dict.fromkeys(trait for _, trait in evidence.comparisons))
    if not traits:
        return None
    figure = Figure(figsize=(PAGE, 5.2 + 0.16 * len(evidence.runs) / 2))
    axes = figure.subplots(3, len(traits), squeeze=False, sharex=True)
    for column, trait in enumerate(traits):
        for run in evidence.runs:
            comparison = evidence.comparisons.get((run.name, trait))
            if comparison is not None:
                _draw_one(axes[:, column], comparison, evidence.looks[run.name])
        axes[0, column].set_title(trait)
        axes[2, column].set_xlabel("generation")
        for row in (1, 2):
            axes[row, column].set_ylim(bottom=0)
    for row, label in enumerate(("mean", "within prompts, $V_W$", "between prompts, $V_B$")):
        axes[row, 0].set_ylabel(label)
    legend_below(figure, list(evidence.looks.values()), 1 if len(evidence.runs) < 3 else 2)
    return figure


def _draw_one(axes: np.ndarray, comparison, look: Look) -> None:
    colour, mark = look.colour, look.marker
    s = comparison.series
    generations = np.arange(s.generations + 1)
    images, families = s.sizes.sum(), len(s.sizes)
    measured = (
        s.centre + s.scale * np.average(s.means, axis=1, weights=s.sizes),
        s.within * s.scale**2,
        s.between * s.scale**2,
    )
    # Sampling errors of a mean, of a variance, and of the variance of few family means.
    errors = (
        s.scale * np.sqrt(s.within / images),
        measured[1] * np.sqrt(2 / s.dof),
        np.sqrt(
            np.square(2 * s.scale**2) * s.between * s.within * np.mean(1 / s.sizes) / (families - 1)
        ),
    )
    best = comparison.best.fit
    style = "-" if comparison.beats_no_change else ":"
    free, expected = trajectory(best), one_step(best)
    for axis, values, error, line, next_one in zip(
        axes, measured, errors, free, expected, strict=True
    ):
        # The mean over components, and its error if these are independent.
        z = values.mean(axis=1)
        e = np.sqrt(np.square(error).sum(axis=1)) / values.shape[1]
        axis.errorbar(generations[:-1], z[:-1], e[:-1], fmt=mark, color=colour, elinewidth=0.8)
        axis.errorbar(
            generations[-1:], z[-1:], e[-1:], fmt=mark, color=colour, mfc="white", elinewidth=0.8
        )
        axis.plot(generations, line.mean(axis=1), style, color=colour, linewidth=1.2, alpha=0.9)
        axis.plot(generations[1:], next_one.mean(axis=1), "x", color=colour, markersize=4)
