"""Held-out generations, CFG scales and seeds, and the scores of their predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from scipy.stats import norm

from analysis.arms.design import design
from analysis.arms.read import QUANTITIES, Arm
from analysis.inference.maximum import Maximum, maximize
from analysis.models import Model
from analysis.prediction.paths import draw_parameters, simulate
from empirical.errors import UserError

HOLDOUTS = ("generations", "scale", "seed")
LEVEL = 0.9


class Series(Protocol):
    """Generations of one seed at one CFG scale, as `splits` sees them."""

    @property
    def name(self) -> str:
        """The name of the run."""
        ...

    @property
    def generations(self) -> int:
        """Number of generations after generation 0."""
        ...

    @property
    def label(self) -> float:
        """The CFG scale of the recipe."""
        ...

    @property
    def seed(self) -> int:
        """The seed of the recipe."""
        ...


@dataclass(frozen=True)
class Split:
    """The transitions that a fit may see, and those that it predicts.

    `name` says what is held out; `seen` [R, G] are the transitions of the fit; arms are predicted
    freely from generation `start` [R] on, and the transitions `scored` [R, G] are scored.
    """

    name: str
    seen: Bool[np.ndarray, "R G"]
    start: Int[np.ndarray, " R"]
    scored: Bool[np.ndarray, "R G"]


def splits(arms: Sequence[Series], holdout: str) -> list[Split]:
    """Return the splits of a kind: one for later generations, one per CFG scale, one per seed.

    Later generations are the second half, predicted from the last of the first. Scales and seeds
    are predicted from generation 0. Raises `UserError` where there is nothing to hold out.
    """
    G = max(arm.generations for arm in arms)
    present = np.stack([np.arange(1, G + 1) <= arm.generations for arm in arms])
    if holdout == "generations":
        half = (G + 1) // 2
        if G < 2:
            raise UserError("holding out later generations takes two or more after generation 0")
        early = np.broadcast_to(np.arange(G) < half, present.shape)
        start = np.minimum([arm.generations for arm in arms], half)
        name = f"generations {half + 1} to {G}"
        return [Split(name, early & present, start, ~early & present)]
    if holdout not in HOLDOUTS:
        raise UserError(f"holdout '{holdout}' is unknown, allowed are {', '.join(HOLDOUTS)}")
    key = {"scale": "label", "seed": "seed"}[holdout]
    groups = np.asarray([getattr(arm, key) for arm in arms])
    if len(np.unique(groups)) < 2:
        raise UserError(f"holding out a {holdout} takes arms with two or more")
    ways = []
    for group in np.unique(groups):
        out = (groups == group)[:, None]
        start = np.where(out[:, 0], 0, [arm.generations for arm in arms])
        ways.append(Split(f"{holdout} {group:g}", present & ~out, start, present & out))
    return ways


def continuations(arms: Sequence[Series], known: int) -> list[Split]:
    """Return a split for each arm of more than `known` generations: a running chain, of which fits
    see generations 0 to `known`, beside all of the arms at other scales.

    Raises `UserError` where no arm is longer, or all have one scale.
    """
    G = max(arm.generations for arm in arms)
    lengths = np.asarray([arm.generations for arm in arms])
    labels = np.asarray([arm.label for arm in arms])
    longer = np.flatnonzero(lengths > known)
    if not len(longer) or len(np.unique(labels)) < 2:
        raise UserError(
            f"holding out the end of a chain takes arms of more than {known} generations, at two "
            f"scales or more"
        )
    steps = np.arange(1, G + 1)
    present, ways = steps <= lengths[:, None], []
    for r in longer.tolist():
        this = (np.arange(len(arms)) == r)[:, None]
        early, others = this & (steps <= known), (labels != labels[r])[:, None]
        name = f"'{arms[r].name}' after generation {known}"
        start = np.where(this[:, 0], known, lengths)
        ways.append(Split(name, present & (early | others), start, present & this & ~early))
    return ways


@dataclass(frozen=True)
class Score:
    """The accuracy of held-out predictions.

    `log_score` is the mean log predictive density of an observed ln V_W or ln V_B (higher is
    better); `within_error` and `between_error` are mean absolute errors of the two, `mean_error` of
    the mean (in sd of generation 0); `coverage` the fraction of observed ln V_W and ln V_B in the
    90 % interval.
    """

    log_score: float
    within_error: float
    between_error: float
    mean_error: float
    coverage: float


def predictions(
    model: Model, arms: Sequence[Arm], split: Split, near: Maximum | None = None, starts: int = 2
) -> pd.DataFrame:
    """Fit a model to the seen part of a split and predict the rest: one row per scored quantity.

    Columns: model, holdout, run, generation, component, quantity (mean, within, between), measured,
    predicted (median), low, high (90 %), log_density. V_W and V_B are logarithms in units of
    generation 0's V. `near` is a fit from which the search also starts.
    """
    stacked = design(arms, split.seen)
    fitted = maximize(model, stacked, starts, None if near is None else near.x)
    paths = simulate(model, draw_parameters(fitted), stacked, split.start)
    low, median, high = np.quantile(paths, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2], axis=0)
    # Median and central interval are robust against a few diverging runs.
    reach = np.maximum((high - low) / (2 * norm.ppf((1 + LEVEL) / 2)), 1e-6)
    measured = np.asarray(stacked.measured)
    density = norm.logpdf(measured, median, reach)
    rows = []
    for r, t in np.argwhere(split.scored):
        for q, quantity in enumerate(QUANTITIES):
            for d in range(stacked.components):
                index = r, t + 1, q, d
                rows.append(
                    (model.name, split.name, arms[r].name, t + 1, d, quantity, measured[index],
                     median[index], low[index], high[index], density[index])
                )  # fmt: skip
    return pd.DataFrame(rows, columns=list(COLUMNS))


COLUMNS = (
    "model", "holdout", "run", "generation", "component", "quantity", "measured", "predicted",
    "low", "high", "log_density",
)  # fmt: skip


def score(table: pd.DataFrame) -> Score:
    """Score a table of predictions, of one or several splits."""
    columns = ("predicted", "measured", "low", "high", "log_density")
    predicted, measured, low, high, density = (table[c].to_numpy(float) for c in columns)
    error, quantity = np.abs(predicted - measured), table["quantity"].to_numpy()
    inside = (low <= measured) & (measured <= high)
    mean = lambda x, mask: float(x[mask].mean())
    variances = quantity != "mean"
    return Score(
        mean(density, variances),
        mean(error, quantity == "within"),
        mean(error, quantity == "between"),
        mean(error, ~variances),
        mean(inside, variances),
    )


def possible_splits(
    arms: Sequence[Series], holdouts: Sequence[str] = HOLDOUTS
) -> Mapping[str, list[Split]]:
    """Return the splits of every holdout that the arms allow."""
    by_holdout = {}
    for holdout in holdouts:
        try:
            by_holdout[holdout] = splits(arms, holdout)
        except UserError:
            if holdout not in HOLDOUTS:
                raise
    return by_holdout
