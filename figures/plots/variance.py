"""Variance of the latents, within and between prompts, down the generations."""

import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from figures.evidence import Evidence, legend_of, palette

ORDER = 20
CAPTION = (
    "Variance of the VAE latents, averaged over coordinates, in units of generation 0's. Within "
    "prompts: how different images of one prompt are. Between prompts: how far apart prompts are. "
    "High guidance loses the first, low guidance the second."
)


def draw(evidence: Evidence) -> Figure:
    """Draw V_W and V_B relative to generation 0, all runs in one pair of panels."""
    figure = Figure(figsize=(9.6, 3.2))
    axes = figure.subplots(1, 2)
    colours = palette(evidence.runs)
    latents = evidence.moments.query("feature == 'latent'")
    for axis, column, title in (
        (axes[0], "within", "within prompts, $V_W / V_W(0)$"),
        (axes[1], "between", "between prompts, $V_B / V_B(0)$"),
    ):
        for run in evidence.runs:
            table = latents[latents["run"] == run.name].sort_values("generation")
            relative = table[column] / table[column].iloc[0]
            if relative.isna().any():
                continue  # one prompt has nothing between, one image a prompt nothing within
            axis.plot(
                table["generation"], relative, "o-", color=colours[run.name], label=legend_of(run)
            )
        axis.axhline(1, color="0.6", linewidth=0.8)
        axis.set_ylim(bottom=0)
        axis.set_xlabel("generation")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(title)
    axes[0].legend()
    sns.despine(figure)
    return figure
