"""Variance of the latents, within and between prompts, in every generation."""

import numpy as np
from matplotlib.figure import Figure

from figures.evidence import Evidence
from figures.pieces import draw_curve, generations_below, legend_below
from figures.style import PAGE
from figures.text import formula

ORDER = 20
CAPTION = (
    "Variance of the VAE latents, averaged over coordinates, relative to generation 0. Within "
    "prompts: how different images of one prompt are. Between prompts: how far apart prompts "
    "are. High guidance loses the first, low guidance the second."
)


def draw(evidence: Evidence) -> Figure:
    """Draw V_W and V_B relative to generation 0, all runs in one pair of panels."""
    figure = Figure(figsize=(PAGE, 2.3 + 0.16 * len(evidence.runs) / 2))
    axes = figure.subplots(1, 2)
    for axis, column, title in (
        (axes[0], "within", "within prompts, $V_W / V_W(0)$"),
        (axes[1], "between", "between prompts, $V_B / V_B(0)$"),
    ):
        for run in evidence.runs:
            curve = evidence.study.variance([run], column)
            if np.isnan(curve.mean).any():
                continue  # a single prompt has no V_B, a single image per prompt no V_W
            draw_curve(axis, curve, evidence.looks[run.name])
        axis.axhline(1, color="0.6", linewidth=0.8)
        axis.set_ylim(bottom=0)
        generations_below(axis)
        formula(axis.set_title(title))
    legend_below(figure, list(evidence.looks.values()), 1 if len(evidence.runs) < 3 else 2)
    return figure
