"""The leading latent axis: its distribution down the generations."""

import numpy as np
from matplotlib.figure import Figure

from figures.evidence import Evidence
from figures.style import COLUMN, PAGE
from figures.text import shortened

ORDER = 28
CAPTION = (
    "Distribution of the leading principal axis of the latents, generation 0 (grey) and later "
    "ones below each other, all on one scale. Prompts that move apart make it wide and give it "
    "several peaks; images that become the same make the peaks narrow."
)
_TRAIT = "latent_pc"


def draw(evidence: Evidence) -> Figure | None:
    """Draw a ridge of histograms a run."""
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
    bins = np.linspace(*np.quantile(together, [0.001, 0.999]), 41)
    width = PAGE if columns > 1 else COLUMN
    figure = Figure(figsize=(width, 2.2 * rows))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(runs) :]:
        axis.set_axis_off()
    step = max(np.histogram(each[0], bins, density=True)[0].max() for each in values.values())
    for axis, run in zip(axes.flat, runs, strict=False):
        colour = evidence.looks[run.name].colour
        for number, z in enumerate(values[run.name]):
            # A ridge may reach over the one above it, and no further.
            heights = np.minimum(np.histogram(z, bins, density=True)[0] / step, 1.8)
            centres = (bins[1:] + bins[:-1]) / 2
            order = 10 + number
            axis.fill_between(
                centres, -number, heights - number, color="0.75" if number == 0 else colour,
                alpha=0.6, linewidth=0, zorder=order,
            )  # fmt: skip
            axis.plot(centres, heights - number, color="white", linewidth=0.6, zorder=order)
        count = len(values[run.name])
        axis.set_yticks([-number for number in range(count)], [str(n) for n in range(count)])
        axis.set_title(shortened(run.name, 28))
        axis.grid(False)
    for axis in axes[-1]:
        axis.set_xlabel("latent axis 1 (latent units)")
    for axis in axes[:, 0]:
        axis.set_ylabel("generation")
    return figure
