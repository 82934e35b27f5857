"""Forecast: the future of each chain, if continued."""

import numpy as np
from matplotlib.figure import Figure

from figures.evidence import Evidence
from figures.pieces import generations_below, legend_below
from figures.style import PAGE
from figures.text import formula

ORDER = 35
CAPTION = (
    "Variance of the latents within and between prompts relative to generation 0: marks are "
    "measured, lines and bands the median and the 90 % interval of one theory (the bounded family "
    "model, fitted to all runs of this report together) from the last generation on, under the "
    "guidance of that generation. The theory is assumed to be true: intervals cover parameters and "
    "chance, not its errors."
)
# The upper limit of a panel, as a multiple of its highest median.
_HIGHEST = 3.0


def draw(evidence: Evidence) -> Figure | None:
    """Draw V_W and V_B, measured and predicted, of every run that theories describe."""
    if not evidence.forecasts:
        return None
    figure = Figure(figsize=(PAGE, 2.4 + 0.16 * len(evidence.forecasts) / 2))
    axes = figure.subplots(1, 2)
    for axis, quantity, title in (
        (axes[0], 1, "within prompts, $V_W / V_W(0)$"),
        (axes[1], 2, "between prompts, $V_B / V_B(0)$"),
    ):
        top = 0.0
        for run, forecast in evidence.forecasts.items():
            look = evidence.looks[run]
            ratio = np.exp(forecast.paths[:, :, quantity] - forecast.paths[:, :1, quantity])
            low, middle, high = np.quantile(ratio.mean(axis=2), [0.05, 0.5, 0.95], axis=0)
            generations, last = np.arange(len(middle)), forecast.last
            axis.plot(generations[: last + 1], middle[: last + 1], look.marker, color=look.colour)
            axis.plot(generations[last:], middle[last:], linestyle=look.line, color=look.colour)
            band = {"color": look.colour, "alpha": 0.13, "linewidth": 0}
            axis.fill_between(generations[last:], low[last:], high[last:], **band)
            # A band that leaves all measure would hide the lines.
            top = max(top, min(high.max(), _HIGHEST * max(middle.max(), 1.0)))
        axis.axhline(1, color="0.6", linewidth=0.8)
        axis.set_ylim(0, 1.05 * top)
        formula(axis.set_title(title))
        generations_below(axis)
    looks = [evidence.looks[run] for run in evidence.forecasts]
    legend_below(figure, looks, 1 if len(looks) < 3 else 2)
    return figure
