"""Theory and experiment: mean, V_W and V_B, and a theory's held-out predictions."""

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from empirical.errors import UserError
from empirical.runs.record import Run
from figures.pieces import generations_below, legend_below, letters, plain_logarithm
from figures.study import Study
from figures.style import PAGE, Look, scale_look
from figures.text import formula

NUMBER = 5
MADE_BY = (
    "empirical/recipes/grid/embedded.toml, arm baseline, both seeds; qtm fit of all its arms "
    "that theories describe"
)
CAPTION = (
    "One theory with one set of parameters for all arms, the best in the comparison, against "
    "held-out data. Left: fitted to generations 0 to 3 of all arms (filled marks), it "
    "predicts 4 to 6 (open marks). Right: fitted to all arms except those of one CFG scale, it "
    "predicts that scale from generation 0 on, one scale at a time; all points are held out. "
    "Marks: measured, averages over the latent coordinates and seeds; lines and bands: median "
    "and 90 % interval of the prediction. Rows: variance within and between prompts in units of "
    "generation 0's total variance, and the mean in standard deviations of generation 0."
)
_ROWS = {
    "within": "within prompts, $V_W$ / V(0)",
    "between": "between prompts, $V_B$ / V(0)",
    "mean": "mean (s.d.)",
}


def draw(study: Study) -> Figure:
    """Draw the best theory's predictions for two holdouts over the measured points."""
    fitted, scales = study.fitted, study.scales()
    kinds = {"generations": "later generations held out", "scale": "each CFG scale held out"}
    kinds = {
        kind: title for kind, title in kinds.items() if kind in set(fitted.predictions["kind"])
    }
    if not kinds:
        raise UserError(f"the fit '{fitted.folder}' holds out neither generations nor scales")
    figure = Figure(figsize=(PAGE, 6.0))
    axes = figure.subplots(3, len(kinds), squeeze=False, sharex=True, sharey="row")
    for column, (kind, title) in enumerate(kinds.items()):
        for row, (quantity, label) in enumerate(_ROWS.items()):
            axis = axes[row, column]
            for scale, runs in scales.items():
                _draw_arm(axis, study, runs, kind, quantity, scale_look(scale))
            if column == 0:
                formula(axis.set_ylabel(label))
            if quantity != "mean":
                axis.set_yscale("log")
                ticks = {"within": [0.1, 0.2, 0.5, 1], "between": [0.1, 0.2, 0.5, 1, 2]}[quantity]
                plain_logarithm(axis.yaxis, ticks)
        axes[0, column].set_title(title)
        generations_below(axes[2, column])
    letters(axes[0])
    figure.suptitle(f"theory: {fitted.best}")
    legend_below(figure, [scale_look(scale) for scale in scales])
    return figure


def _draw_arm(
    axis: Axes, study: Study, runs: list[Run], kind: str, quantity: str, look: Look
) -> None:
    """Draw the runs of one scale: points as measured, bands where held out."""
    tables = [study.fitted.predicted(study.fitted.best, kind, run.name, quantity) for run in runs]
    predictions = [table for table in tables if len(table)]
    measured = np.mean([measured_of(study, run, quantity) for run in runs], axis=0)
    scale = np.exp if quantity != "mean" else np.asarray
    shown = {"color": look.colour, "marker": look.marker, "linestyle": ""}
    if not predictions:
        axis.plot(np.arange(len(measured)), scale(measured), **shown)
        return
    first = int(predictions[0]["generation"].min())
    axis.plot(
        np.arange(first), scale(measured[:first]), **{**shown, "linestyle": ":"}, linewidth=0.7
    )
    axis.plot(np.arange(first, len(measured)), scale(measured[first:]), mfc="white", **shown)
    low, middle, high = (
        scale(np.append(measured[first - 1], np.mean([t[name] for t in predictions], axis=0)))
        for name in ("low", "predicted", "high")
    )
    generations = np.arange(first - 1, first - 1 + len(middle))
    axis.plot(generations, middle, "-", color=look.colour)
    axis.fill_between(generations, low, high, color=look.colour, alpha=0.13, linewidth=0)


def measured_of(study: Study, run: Run, quantity: str) -> Float[np.ndarray, " T"]:
    """Return ln V_W or ln V_B over generation 0's V_W + V_B, or the mean in its standard
    deviations, for each generation; averages over the latent coordinates."""
    table = study.moments
    rows = table[(table["run"] == run.name) & (table["feature"] == "latent")]
    mean = rows.groupby("generation")[["mean", "within", "between"]].mean()
    unit = mean["within"].iloc[0] + mean["between"].iloc[0]
    if quantity == "mean":
        return ((mean["mean"] - mean["mean"].iloc[0]) / np.sqrt(unit)).to_numpy()
    return np.log(mean[quantity] / unit).to_numpy()
