"""Held-out predictions of the theory of prompts, beside naive ones: mean, V_W and V_B of traits.

The intervals of a fit are too narrow where a form is missing from it. So they are widened by what
the seen chains show: the same split is made once more within these (each of their scales or seeds
held out, their later generations, or the end of each), and the half widths of all intervals are
multiplied by

    max(1, 0.9 quantile of |measured - predicted| / half width)

for each quantity, of the axes, of all latents and of the traits apart (split conformal prediction
of scaled errors: Lei et al. 2018, J. Am. Stat. Assoc. 113, 1094).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.prediction.holdout import LEVEL, Split, continuations, splits
from analysis.prompts.chains import PromptChain
from analysis.prompts.paths import DRAWS, Theory, fit, paths
from analysis.prompts.quantities import AXES, measurements, predicted
from empirical.errors import UserError
from empirical.runs.prompts import LATENT

THEORY, UNCHANGED, LINE = "prompts", "no change", "linear extrapolation"
INTERPOLATED = "neighbouring scales"
# Holds out the end of a running chain: see `continuations`.
CHAIN = "chain"
LATER = "generations"
COLUMNS = (
    "model", "holdout", "run", "scale", "trait", "generation", "quantity", "measured", "predicted",
    "low", "high",
)  # fmt: skip
_LEVELS = ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2)

Kind = tuple[str, str]


def predictions(
    chains: Sequence[PromptChain],
    holdout: str,
    progress: Callable[[], object] = lambda: None,
    draws: int = DRAWS,
    widen: bool = True,
    known: int = 2,
    without: Sequence[str] = (),
) -> pd.DataFrame:
    """Fit to the seen part of each split of a kind and predict the rest: a row for each quantity.

    The kind is one of those of `splits`, or "chain": a chain that has been run to generation
    `known`. Quantities and their units are those of `measurements`. `low` and `high` are 90 %
    intervals, widened by default, missing for naive forecasts: no change since the last measured
    generation; the line through generation 0 and that one; and with a scale or a chain held out,
    the change since then of the chains at neighbouring scales, interpolated in ln w (the nearest
    one beyond the least and the greatest scale). The theory's hyperparameters `without` are 0.
    """
    rows, theory = [], None
    measured = [measurements(chain) for chain in chains]
    for split in _splits(chains, holdout, known):
        theory = fit(chains, split.seen, theory, without)
        factors = _factors(chains, split, holdout, theory, draws, known) if widen else {}
        for r, t, key, (low, median, high) in _predicted(chains, split, theory, draws):
            y, s, chain = measured[r][key], int(split.start[r]), chains[r]
            place = split.name, chain.name, chain.label, key[0], t, key[1], y[t]
            factor = factors.get(kind(key), 1.0)
            ends = median - factor * (median - low), median + factor * (high - median)
            rows.append((THEORY, *place, median, *ends))
            rows.append((UNCHANGED, *place, y[s], np.nan, np.nan))
            if s:
                rows.append((LINE, *place, y[s] + (t - s) * (y[s] - y[0]) / s, np.nan, np.nan))
            near = _between_scales(chains, split, r, [m[key][t] - m[key][s] for m in measured])
            if near is not None:
                rows.append((INTERPOLATED, *place, y[s] + near, np.nan, np.nan))
        progress()
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _splits(chains: Sequence[PromptChain], holdout: str, known: int) -> list[Split]:
    return continuations(chains, known) if holdout == CHAIN else splits(chains, holdout)


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
    chains: Sequence[PromptChain],
    split: Split,
    holdout: str,
    theory: Theory,
    draws: int,
    known: int,
) -> Mapping[Kind, float]:
    if split.start.any() and split.scored.any(axis=1).all():
        seen = [chain.until(int(s)) for chain, s in zip(chains, split.start, strict=True)]
    else:
        seen = [chain for chain, mask in zip(chains, split.seen, strict=True) if mask.all()]
    return widening(seen, holdout, theory, draws, known)


def widening(
    chains: Sequence[PromptChain], holdout: str, theory: Theory, draws: int = DRAWS, known: int = 2
) -> Mapping[Kind, float]:
    """Return by how much intervals of each kind are to be widened, by splits of these chains.

    Empty where they allow none. In fits without the end of one chain hyperparameters stay those of
    the theory: the chain hardly changes them.
    """
    ratios: dict[Kind, list[float]] = {}
    try:
        parts = _splits(chains, holdout, known)
    except UserError:
        return {}
    near = theory.held() if holdout == CHAIN else theory
    measured = [measurements(chain) for chain in chains]
    for part in parts:
        fitted = fit(chains, part.seen, near, theory.absent)
        for r, t, key, (low, median, high) in _predicted(chains, part, fitted, draws):
            error = measured[r][key][t] - median
            width = high - median if error > 0 else median - low
            ratios.setdefault(kind(key), []).append(abs(error) / max(width, 1e-9))
    return {name: max(1.0, float(np.quantile(each, LEVEL))) for name, each in ratios.items()}


def kind(key: tuple[str, str]) -> Kind:
    """Return the kind of a quantity, whose intervals are widened alike."""
    trait, quantity = key
    return _group(trait), quantity


def _group(trait: str) -> str:
    return next((name for name in (AXES, LATENT) if trait.startswith(name)), "traits")


def _between_scales(
    chains: Sequence[PromptChain], split: Split, r: int, values: Sequence[float]
) -> float | None:
    """Return a change by interpolation in ln w between complete chains of the same seed, without
    remedies."""
    others = sorted(
        (float(chain.strengths.mean()), float(value))
        for chain, mask, value in zip(chains, split.seen, values, strict=True)
        if mask.all() and chain.plain and chain.seed == chains[r].seed
    )
    if not others:
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
    group = part["trait"].map(_group).rename("of")
    means = part.groupby([group, "quantity", "model"])[["error", "inside"]].mean()
    return pd.DataFrame(means)
