"""Which part of a remedy does what: a factorial of its parts, measured and as a model explains it.

ReDiFine is a decaying scale together with condition drop. In the model the decay is weaker
selection; condition drop lets the unconditional branch follow the data, and mutates. The
contribution of a part to ln V_W or ln V_B is its effect averaged over the orders in which parts can
be added (Shapley 1953), so contributions add up to the effect of the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd

from analysis.arms.design import design
from analysis.arms.read import Arm
from analysis.inference.maximum import Maximum
from analysis.prediction.paths import trajectory_of
from empirical.errors import UserError

# The two ways of condition drop, and the parameter of each.
_WAYS = {"unconditional": "drop_uptake", "mutation": "drop_mutation"}
_ENDS = {"within": 1, "between": 2}


def parts_of(fitted: Maximum, plain: Arm, treated: Arm, draws: np.ndarray) -> pd.DataFrame:
    """Say what each part of a treatment changes, by a fitted model, in the last generation.

    The parts are the treated arm's schedule of the scale (`selection`), and its condition drop by
    the unconditional branch that follows the data (`unconditional`) and by the variance that it
    adds (`mutation`). Effects are those of the maximum, intervals those of `draws` [S, k] of the
    parameters on the scale of the search (`draw_posterior`, `draw_parameters`). Returns quantity
    (within, between), part (the three and `all`), effect, low, high (90 %): differences of ln V,
    averaged over components. Raises `UserError` for a model that does not know condition drop.
    """
    names = [p.name for p in fitted.parameters]
    missing = [name for name in _WAYS.values() if name not in names]
    if missing:
        raise UserError(f"the model '{fitted.model.name}' knows no condition drop")
    both = replace(plain, dropped=treated.dropped)
    of = design([both, replace(both, scales=treated.scales)])
    x = np.concatenate([fitted.x[None], draws])
    ends: dict[frozenset[str], np.ndarray] = {}
    for count in range(len(_WAYS) + 1):
        for on in combinations(_WAYS, count):
            without = x.copy()
            for way in set(_WAYS) - set(on):
                place = names.index(_WAYS[way])
                p = fitted.parameters[place]
                without[:, place] = p.to_real(p.low)
            last = trajectory_of(fitted.model, without, of, np.zeros(2, int))[:, :, -1]
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
    """Say what was measured of arms with neither part, each and both, in the last generation.

    Parts are the schedule (`selection`) and `condition drop`, in all its ways together. `error` is
    the standard error by the spread of seeds, nan with one seed of an arm. Raises `UserError` where
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
            # Each of two parts weighs all four cells by a half; the whole is a difference of two.
            if part == "all":
                error = np.sqrt(
                    spread[frozenset()] + spread[frozenset(("selection", "condition drop"))]
                )
            else:
                error = np.sqrt(sum(spread.values())) / 2
            rows.append((quantity, part, effect, error))
    return pd.DataFrame(rows, columns=["quantity", "part", "effect", "error"])


def _shapley(ends: Mapping[frozenset[str], np.ndarray]) -> dict[str, np.ndarray]:
    """Contributions of parts, given what comes out with every set of them."""
    whole = max(ends, key=len)
    n = len(whole)
    found = {}
    for part in sorted(whole):
        found[part] = sum(
            factorial(len(on)) * factorial(n - len(on) - 1) / factorial(n)
            * (ends[on | {part}] - ends[on])
            for on in ends if part not in on
        )  # fmt: skip
    return {**found, "all": ends[whole] - ends[frozenset()]}
