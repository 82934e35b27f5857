"""Which part of a remedy does what: a factorial of its parts, measured and as a model explains it.

ReDiFine is a decaying scale together with condition drop. In the model the decay is weaker
selection; condition drop is the unconditional branch following the data. The contribution of a part
to ln V_W or ln V_B is its effect averaged over the orders in which parts can be added (Shapley), so
contributions add up to the effect of the whole.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.arms import Arm
from analysis.design import design
from analysis.maximum import Maximum
from analysis.prediction import draw_parameters, trajectory_of
from empirical.errors import UserError

PARTS = ("selection", "unconditional")


def parts_of(fitted: Maximum, plain: Arm, treated: Arm, draws: int = 256) -> pd.DataFrame:
    """Say what each part of a treatment changes, by a fitted model, in the last generation.

    Arms: the plain one, the plain one with the treated one's schedule (`selection`), with its
    condition drop (`unconditional`), with both. Returns quantity (within, between), part (the two
    and `both`), effect, low, high (90 %): differences of ln V, averaged over components.
    """
    schedule = replace(plain, scales=treated.scales)
    drop = replace(plain, dropped=treated.dropped)
    both = replace(treated, measured=plain.measured)
    of = design([plain, schedule, drop, both])
    x = np.concatenate([fitted.x[None], draw_parameters(fitted, draws)])
    last = trajectory_of(fitted.model, x, of, np.zeros(4, int))[:, :, -1].mean(axis=-1)
    rows = []
    for q, quantity in ((1, "within"), (2, "between")):
        for part, effect in _shapley(*(last[:, i, q] for i in range(4))).items():
            low, high = np.quantile(effect[1:], [0.05, 0.95])
            rows.append((quantity, part, effect[0], low, high))
    return pd.DataFrame(rows, columns=["quantity", "part", "effect", "low", "high"])


def measured_parts(
    plain: Sequence[Arm], schedule: Sequence[Arm], drop: Sequence[Arm], both: Sequence[Arm]
) -> pd.DataFrame:
    """Say the same from arms that were run: one or more seeds each, in the last generation.

    `error` is the standard error by the spread of seeds, nan with one seed of an arm. Raises
    `UserError` where an arm is missing.
    """
    cells = (plain, schedule, drop, both)
    if not all(cells):
        raise UserError("the factorial needs arms with neither part, each part, and both")
    rows = []
    for q, quantity in ((1, "within"), (2, "between")):
        ends = [np.array([arm.measured[-1, q].mean() for arm in cell]) for cell in cells]
        found = _shapley(*(end.mean() for end in ends))
        spread = [end.var(ddof=1) / len(end) if len(end) > 1 else np.nan for end in ends]
        weights = {"selection": (0.5, 0.5, 0.5, 0.5), "unconditional": (0.5, 0.5, 0.5, 0.5),
                   "both": (1, 0, 0, 1)}  # fmt: skip
        for part, effect in found.items():
            used = [(w, v) for w, v in zip(weights[part], spread, strict=True) if w]
            error = np.sqrt(sum(w**2 * v for w, v in used))
            rows.append((quantity, part, effect, error))
    return pd.DataFrame(rows, columns=["quantity", "part", "effect", "error"])


def _shapley(plain, schedule, drop, both) -> dict[str, np.ndarray]:
    return {
        "selection": ((schedule - plain) + (both - drop)) / 2,
        "unconditional": ((drop - plain) + (both - schedule)) / 2,
        "both": both - plain,
    }
