"""Held-out predictions of the theory of prompts, beside naive ones: mean, V_W and V_B of traits.

The intervals of a fit are too narrow where a form is missing from it. So they are widened by what
the seen chains show: the same split is made once more within these (each of their scales or seeds
held out, or their later generations), and the half widths of all intervals are multiplied by

    max(1, 0.9 quantile of |measured - predicted| / half width)

for each quantity, of the axes and of the traits apart (split conformal prediction of scaled errors:
Lei et al. 2018, J. Am. Stat. Assoc. 113, 1094).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.prediction.holdout import LEVEL, Split, splits
from analysis.prompts.chains import PromptChain
from analysis.prompts.paths import DRAWS, Theory, fit, paths
from analysis.prompts.quantities import AXES, measurements, predicted
from empirical.errors import UserError

THEORY, UNCHANGED, LINE = "prompts", "no change", "linear extrapolation"
INTERPOLATED = "neighbouring scales"
COLUMNS = (
    "model", "holdout", "run", "scale", "trait", "generation", "quantity", "measured", "predicted",
    "low", "high",
)  # fmt: skip
_LEVELS = ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2)

Kind = tuple[bool, str]


def predictions(
    chains: Sequence[PromptChain],
    holdout: str,
    progress: Callable[[], object] = lambda: None,
    draws: int = DRAWS,
    widen: bool = True,
) -> pd.DataFrame:
    """Fit to the seen part of each split of a kind and predict the rest: a row for each quantity.

    Quantities and their units are those of `measurements`. `low` and `high` are 90 % intervals,
    widened by default, missing for naive forecasts: no change since the last measured
    generation; the line through generation 0 and that one; and with a scale held out the same
    generation of the chains at neighbouring scales, interpolated in ln w (the nearest one beyond
    the least and the greatest scale).
    """
    rows, theory = [], None
    measured = [measurements(chain) for chain in chains]
    for split in splits(chains, holdout):
        theory = fit(chains, split.seen, theory)
        factors = _factors(chains, split, holdout, theory, draws) if widen else {}
        for r, t, key, (low, median, high) in _predicted(chains, split, theory, draws):
            y, s, chain = measured[r][key], int(split.start[r]), chains[r]
            place = split.name, chain.name, chain.label, key[0], t, key[1], y[t]
            factor = factors.get(_kind(key), 1.0)
            ends = median - factor * (median - low), median + factor * (high - median)
            rows.append((THEORY, *place, median, *ends))
            rows.append((UNCHANGED, *place, y[s], np.nan, np.nan))
            if s:
                rows.append((LINE, *place, y[s] + (t - s) * (y[s] - y[0]) / s, np.nan, np.nan))
            near = _between_scales(chains, split, r, [m[key][t] for m in measured])
            if near is not None:
                rows.append((INTERPOLATED, *place, near, np.nan, np.nan))
        progress()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _predicted(
    chains: Sequence[PromptChain], split: Split, theory: Theory, draws: int
) -> Iterator[tuple[int, int, tuple[str, str], Float[np.ndarray, "3"]]]:
    """Yield chain, generation, quantity, and the quantiles of each scored value."""
    for r in np.flatnonzero(split.scored.any(axis=1)).tolist():
        drawn = predicted(chains[r], paths(theory, chains[r], int(split.start[r]), draws))
        for key, values in drawn.items():
            quantiles = np.quantile(values, _LEVELS, axis=0)
            for t in (np.flatnonzero(split.scored[r]) + 1).tolist():
                yield r, t, key, quantiles[:, t]


def _factors(
    chains: Sequence[PromptChain], split: Split, holdout: str, theory: Theory, draws: int
) -> Mapping[Kind, float]:
    """Return by how much intervals of each kind are to be widened, by splits of the seen chains."""
    if split.start.any() and split.scored.any(axis=1).all():
        seen = [chain.until(int(s)) for chain, s in zip(chains, split.start, strict=True)]
    else:
        seen = [chain for chain, mask in zip(chains, split.seen, strict=True) if mask.all()]
    ratios: dict[Kind, list[float]] = {}
    try:
        inner = splits(seen, holdout)
    except UserError:
        return {}
    measured = [measurements(chain) for chain in seen]
    for part in inner:
        fitted = fit(seen, part.seen, theory)
        for r, t, key, (low, median, high) in _predicted(seen, part, fitted, draws):
            error = measured[r][key][t] - median
            width = high - median if error > 0 else median - low
            ratios.setdefault(_kind(key), []).append(abs(error) / max(width, 1e-9))
    return {kind: max(1.0, float(np.quantile(each, LEVEL))) for kind, each in ratios.items()}


def _kind(key: tuple[str, str]) -> Kind:
    trait, quantity = key
    return trait.startswith(AXES), quantity


def _between_scales(
    chains: Sequence[PromptChain], split: Split, r: int, values: Sequence[float]
) -> float | None:
    """Return a value by interpolation in ln w between seen chains of the same seed."""
    others = sorted(
        (float(chain.strengths.mean()), float(value))
        for chain, mask, value in zip(chains, split.seen, values, strict=True)
        if mask.all() and chain.seed == chains[r].seed
    )
    if split.start[r] or not others:
        return None
    return float(np.interp(chains[r].strengths.mean(), *np.transpose(others)))


def errors(table: pd.DataFrame) -> pd.DataFrame:
    """Return mean absolute errors of each quantity, and the fraction of the theory's 90 % intervals
    that hold the measured value: a row for each model and quantity."""
    part = table.assign(
        error=(table["predicted"] - table["measured"]).abs(),
        inside=np.where(
            table["low"].isna(),
            np.nan,
            (table["low"] <= table["measured"]) & (table["measured"] <= table["high"]),
        ),
    )
    axes = part["trait"].str.startswith(AXES).map({True: AXES, False: "traits"})
    means = part.groupby([axes.rename("of"), "quantity", "model"])[["error", "inside"]].mean()
    return pd.DataFrame(means)
