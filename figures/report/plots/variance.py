"""Variance of the latents, within and between prompts, in every generation."""

import numpy as np
from matplotlib.figure import Figure

from figures.evidence import Evidence
from figures.pieces import draw_curve, from_zero, generations_below, legend_below
from figures.style import COLUMN, PAGE
from figures.text import formula

ORDER = 20
CAPTION = (
    "Variance of the VAE latents, averaged over coordinates, relative to generation 0. Within "
    "prompts: how different images of one prompt are. Between prompts: how far apart prompts "
    "are. On digits high guidance loses the first, low guidance the second."
)
_OF_ALL = (
    "Variance of the VAE latents, averaged over coordinates, relative to generation 0. Every "
    "prompt has one image and no replicate, so that variance within and between prompts are "
    "unknown."
)
_PARTS = (
    ("within", "within prompts, $V_W / V_W(0)$"),
    ("between", "between prompts, $V_B / V_B(0)$"),
)
_TOTAL = (("variance", "all images, $V / V(0)$"),)


def draw(evidence: Evidence) -> Figure:
    """Draw V_W and V_B relative to generation 0, all runs in one pair of panels; or the variance
    of all images where no run has either."""
    panels = _panels(evidence)
    width = PAGE if len(panels) > 1 else COLUMN
    figure = Figure(figsize=(width, 2.3 + 0.16 * len(evidence.runs) / 2))
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (column, title) in zip(axes, panels, strict=True):
        for run in evidence.runs:
            curve = evidence.study.variance([run], column)
            if np.isnan(curve.mean).any():
                continue  # a single prompt has no V_B, a single image per prompt no V_W
            draw_curve(axis, curve, evidence.looks[run.name])
        axis.axhline(1, color="0.6", linewidth=0.8)
        from_zero(axis)
        generations_below(axis)
        formula(axis.set_title(title))
    columns = 1 if len(evidence.runs) < 3 or len(panels) == 1 else 2
    legend_below(figure, list(evidence.looks.values()), columns)
    return figure


def caption(evidence: Evidence) -> str:
    """Return the caption of the parts that are known."""
    return _OF_ALL if _panels(evidence) == _TOTAL else CAPTION


def _panels(evidence: Evidence) -> tuple[tuple[str, str], ...]:
    """Return column and title of each panel."""
    return tuple(panel for panel in _PARTS if _known(evidence, panel[0])) or _TOTAL


def _known(evidence: Evidence, column: str) -> bool:
    """Return whether any run has a part of the variance."""
    curves = (evidence.study.variance([run], column) for run in evidence.runs)
    return any(not np.isnan(curve.mean).any() for curve in curves)
