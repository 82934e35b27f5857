"""Model comparison: held-out predictions of theories, and parameters of the best."""

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from empirical.errors import UserError
from figures.fitted import NAIVE, Fitted, one_link_each
from figures.pieces import letters
from figures.study import Study
from figures.style import PAGE
from figures.text import formula

NUMBER = 8
MADE_BY = (
    "empirical/recipes/grid/embedded.toml; qtm fit of all its arms that theories describe, with "
    "the second half of the generations, each CFG scale and each seed held out in turn"
)
CAPTION = (
    "Theories of collapse, each with its best link from CFG scale to strength of selection and "
    "one set of parameters for all arms, the best in the comparison at the top; naive forecasts "
    "in grey. (a) Mean log predictive density of a held-out ln V_W or ln V_B (higher is better); "
    "the dashed line is the better of the naive forecasts, scores below the left edge are drawn "
    "at it. (b) Mean absolute error of held-out ln V_W (filled) and ln V_B (open), all "
    "holdouts together. (c) Parameters of the best theory, in units of generation 0: the "
    "posterior if it was drawn, else 90 % intervals; crosses are at a bound or not "
    "identified."
)
_KINDS = {
    "generations": ("later generations", "o", "#0072B2"),
    "scale": ("a CFG scale", "s", "#D55E00"),
    "seed": ("a seed", "^", "#009E73"),
}
_WORST = -3.5


def draw(study: Study) -> Figure:
    """Draw scores, errors and parameters."""
    fitted = study.fitted
    scores = fitted.scores()
    if scores.empty:
        raise UserError(f"the fit '{fitted.folder}' has no held-out predictions")
    models = one_link_each(fitted.models)
    figure = Figure(figsize=(PAGE, 0.9 + 0.22 * len(models)))
    first, second, third = figure.subplots(1, 3, width_ratios=[1.25, 0.8, 0.9])
    _scores(first, scores, models)
    _errors(second, scores, models)
    for axis in (first, second):
        axis.set_ylim(len(models) - 0.4, -0.6)
        axis.set_yticks(range(len(models)), models if axis is first else [""] * len(models))
    for label, model in zip(first.get_yticklabels(), models, strict=True):
        label.set_color("0.5" if model in NAIVE else "black")
    _parameters(third, fitted)
    handles = [line for axis in (first, second) for line in axis.get_legend_handles_labels()[0]]
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    for text in legend.get_texts():
        formula(text)
    letters([first, second, third])
    return figure


def _scores(axis: Axes, scores: pd.DataFrame, models: list[str]) -> None:
    for kind, (label, marker, colour) in _KINDS.items():
        table = scores[scores["kind"] == kind].set_index("model")["log_score"]
        if table.empty:
            continue
        values = table.reindex(models).to_numpy()
        axis.plot(np.maximum(values, _WORST), range(len(models)), marker, color=colour, label=label)
        naive = [model for model in NAIVE if model in table]
        if naive:
            axis.axvline(table[naive].max(), color=colour, linestyle="--", linewidth=0.7, zorder=1)
    axis.set(title="held-out score", xlabel="mean log predictive density")
    axis.set_xlim(left=_WORST - 0.15)


def _errors(axis: Axes, scores: pd.DataFrame, models: list[str]) -> None:
    mean = scores.groupby("model")[["within", "between"]].mean().reindex(models)
    for place, (model, row) in enumerate(mean.iterrows()):
        colour = "0.6" if model in NAIVE else "black"
        axis.plot([row["within"], row["between"]], [place, place], "-", color="0.8", zorder=1)
        axis.plot(row["within"], place, "o", color=colour)
        # A ring, so that an equal error of ln V_W shows through.
        axis.plot(row["between"], place, "o", color=colour, mfc="none")
    axis.plot([], [], "o", color="black", label="$\\ln V_W$")
    axis.plot([], [], "o", color="black", mfc="none", label="$\\ln V_B$")
    axis.set(title="held-out error", xlabel="mean absolute error")
    axis.set_xlim(left=0)


def _parameters(axis: Axes, fitted: Fitted) -> None:
    table = fitted.parameters
    rows = table[(table["model"] == fitted.best) & ~table["parameter"].str.startswith("process")]
    drawn = fitted.posterior()
    for place, row in enumerate(rows.itertuples()):
        if row.parameter in drawn:
            _density(axis, place, drawn[row.parameter])
        elif np.isfinite([row.low, row.high]).all():
            axis.plot([row.low, row.high], [place, place], "-", color="#0072B2", linewidth=2)
            axis.plot(row.estimate, place, "o", color="#0072B2")
        else:
            axis.plot(row.estimate, place, "x", color="#0072B2")  # at a bound, or not identified
    axis.set_yticks(range(len(rows)), [name.replace("_", " ") for name in rows["parameter"]])
    axis.set(xscale="log", title="best theory", xlabel="estimate", ylim=(len(rows) - 0.5, -0.5))


def _density(axis: Axes, place: int, values: np.ndarray) -> None:
    """Draw the posterior density of a parameter's logarithm, scaled to the height of a row."""
    low, high = np.quantile(values, [0.001, 0.999])
    seaborn.violinplot(
        x=values[(values >= low) & (values <= high)],
        y=np.full(((values >= low) & (values <= high)).sum(), place),
        orient="h",
        native_scale=True,
        log_scale=(True, False),
        density_norm="width",
        width=0.84,
        cut=0,
        inner=None,
        linewidth=0,
        color="#0072B2",
        ax=axis,
    )
    axis.plot(np.median(values), place, "|", color="white")
