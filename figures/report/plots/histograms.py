"""The leading latent axis: its distribution in every generation."""

import numpy as np
import seaborn
from matplotlib.figure import Figure

from figures.evidence import Evidence
from figures.style import COLUMN, PAGE
from figures.text import shortened

ORDER = 28
CAPTION = (
    "Distribution of the leading principal axis of the latents, generation 0 (grey) and later "
    "ones below each other, each scaled to the same height. Prompts that move apart widen it and "
    "split it into peaks; images that become alike narrow the peaks."
)
_TRAIT = "latent_pc"


def draw(evidence: Evidence) -> Figure | None:
    """Draw a violin of each generation, a panel for each run."""
    runs = [
        run
        for run in evidence.runs
        if all(_TRAIT in generation.traits() for generation in run.generations())
    ]
    if not runs:
        return None
    columns = min(4, len(runs))
    rows = -(-len(runs) // columns)
    values = {run.name: [g.trait(_TRAIT)[:, 0] for g in run.generations()] for run in runs}
    together = np.concatenate([z for each in values.values() for z in each]).astype(np.float64)
    low, high = np.quantile(together, [0.001, 0.999])
    width = PAGE if columns > 1 else COLUMN
    figure = Figure(figsize=(width, 2.2 * rows))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(runs) :]:
        axis.set_axis_off()
    for axis, run in zip(axes.flat, runs, strict=False):
        each = values[run.name]
        generation = np.repeat(np.arange(len(each)), [len(z) for z in each])
        colours = ["0.75", *[evidence.looks[run.name].colour] * (len(each) - 1)]
        # A fifth of the default bandwidth, so that separated prompts appear as peaks.
        seaborn.violinplot(
            x=np.concatenate(each).astype(np.float64),
            y=generation,
            hue=generation,
            palette=colours,
            orient="h",
            density_norm="width",
            bw_adjust=0.2,
            cut=0,
            width=0.95,
            inner=None,
            linewidth=0,
            legend=False,
            ax=axis,
        )
        margin = 0.02 * (high - low)
        axis.set(xlim=(low - margin, high + margin), ylabel="")
        axis.set_title(shortened(run.name, 28))
        axis.grid(False)
    for axis in axes[-1]:
        axis.set_xlabel("latent axis 1 (latent units)")
    for axis in axes[:, 0]:
        axis.set_ylabel("generation")
    return figure
