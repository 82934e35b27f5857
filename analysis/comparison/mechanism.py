"""The contributions of a remedy's parts, from a factorial: measured, and predicted by a model.

ReDiFine combines a decaying scale with condition drop. In the model the decay weakens selection;
condition drop lets the unconditional branch follow the data, and mutates. The contribution of a
part to ln V_W or ln V_B is its effect averaged over the orders in which parts can be added (Shapley
1953), so contributions add up to the total effect.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.arms.design import design
from analysis.arms.read import Arm
from analysis.inference.maximum import Maximum
from analysis.prediction.paths import trajectory_of
from empirical.errors import UserError

# The two effects of condition drop, and the parameter of each.
_WAYS = {"unconditional": "drop_uptake", "mutation": "drop_mutation"}
_ENDS = {"within": 1, "between": 2}


def parts_of(
    fitted: Maximum, plain: Arm, treated: Arm, draws: Float[np.ndarray, "S k"]
) -> pd.DataFrame:
    """Return the effect of each part of a treatment in the last generation, by a fitted model.

    The parts are the treated arm's schedule of the scale (`selection`), and the effects of its
    condition drop by the unconditional branch, which follows the data (`unconditional`), and by
    added variance (`mutation`). Effects are those of the maximum, intervals those of `draws` [S, k]
    of the parameters on the scale of the search (`draw_posterior`, `draw_parameters`). Returns
    quantity (within, between), part (the three and `all`), effect, low, high (90 %): differences of
    ln V, averaged over components. Raises `UserError` for a model without condition drop.
    """
    names = [p.name for p in fitted.parameters]
    missing = [name for name in _WAYS.values() if name not in names]
    if missing:
        raise UserError(f"the model '{fitted.model.name}' has no condition drop")
    both = replace(plain, dropped=treated.dropped)
    stacked = design([both, replace(both, scales=treated.scales)])
    x = np.concatenate([fitted.x[None], draws])
    ends: dict[frozenset[str], np.ndarray] = {}
    for count in range(len(_WAYS) + 1):
        for on in combinations(_WAYS, count):
            without = x.copy()
            for way in set(_WAYS) - set(on):
                index = names.index(_WAYS[way])
                p = fitted.parameters[index]
                without[:, index] = p.to_real(p.low)
            last = trajectory_of(fitted.model, without, stacked, np.zeros(2, int))[:, :, -1]
            ends[frozenset(on)] = last[:, 0].mean(axis=-1)
            ends[frozenset({*on, "selection"})] = last[:, 1].mean(axis=-1)
    rows = []
    for quantity, q in _ENDS.items():
        for part, effect in _shapley({on: end[:, q] for on, end in ends.items()}).items():
            low, high = np.quantile(effect[1:], [0.05, 0.95])
            rows.append((quantity, part, effect[0], low, high))
    return pd.DataFrame(rows, columns=["quantity", "part", "effect", "low", "high"])


def measured_parts(
    plain: Sequence[Arm], schedule: Sequence[Arm], drop: Sequence[Arm], both: Sequence[Arm]
) -> pd.DataFrame:
    """Return the measured effects of parts in the last generation, from arms with neither, each
    and both.

    Parts are the schedule (`selection`) and `condition drop` with all its effects. `error` is the
    standard error from the spread of seeds, nan where an arm has one seed. Raises `UserError` where
    an arm is missing.
    """
    cells = {(): plain, ("selection",): schedule, ("condition drop",): drop}
    cells = {frozenset(on): cell for on, cell in cells.items()}
    cells[frozenset(("selection", "condition drop"))] = both
    if not all(cells.values()):
        raise UserError("the factorial needs arms with neither part, each part, and both")
    rows = []
    for quantity, q in _ENDS.items():
        ends = {
            on: np.array([arm.measured[-1, q].mean() for arm in cell]) for on, cell in cells.items()
        }
        spread = {
            on: end.var(ddof=1) / len(end) if len(end) > 1 else np.nan for on, end in ends.items()
        }
        for part, effect in _shapley({on: end.mean() for on, end in ends.items()}).items():
            # Each part weighs all four cells by a half; the total is a difference of two cells.
            if part == "all":
                error = np.sqrt(
                    spread[frozenset()] + spread[frozenset(("selection", "condition drop"))]
                )
            else:
                error = np.sqrt(sum(spread.values())) / 2
            rows.append((quantity, part, effect, error))
    return pd.DataFrame(rows, columns=["quantity", "part", "effect", "error"])


def _shapley(ends: Mapping[frozenset[str], np.ndarray]) -> dict[str, np.ndarray]:
    """Return the contributions of parts, given the outcome with every set of parts."""
    all_parts = max(ends, key=len)
    n = len(all_parts)
    contributions = {}
    for part in sorted(all_parts):
        contributions[part] = sum(
            factorial(len(on)) * factorial(n - len(on) - 1) / factorial(n)
            * (ends[on | {part}] - ends[on])
            for on in ends if part not in on
        )  # fmt: skip
    return {**contributions, "all": ends[all_parts] - ends[frozenset()]}
