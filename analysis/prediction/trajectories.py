"""Forecasts as tables: every generation of a trait, in its units."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.arms.read import QUANTITIES

COLUMNS = (
    "generation", "feature", "component", "quantity", "low", "median", "high", "measured",
)  # fmt: skip
LEVELS = (0.05, 0.5, 0.95)


def trajectories(
    trait: str,
    components: Sequence[int],
    centre: Float[np.ndarray, " D"],
    unit: Float[np.ndarray, " D"],
    paths: Float[np.ndarray, "S T 3 D"],
    last: int,
) -> pd.DataFrame:
    """Return a row for each generation, component and quantity (mean, within, between).

    It has low, median and high (90 %), in feature units (squared for variances), and whether it was
    measured, as generations up to `last` were. `paths` are draws of the mean, as a deviation from
    `centre` in standard deviations, and of ln V_W and ln V_B, in units of the variance `unit`.
    """
    mean = centre + np.sqrt(unit) * paths[:, :, 0]
    variances = unit * np.exp(paths[:, :, 1:])
    z = np.concatenate([mean[:, :, None], variances], axis=2)
    ends = np.quantile(z, LEVELS, axis=0)
    rows = [
        (t, trait, components[d], QUANTITIES[q], *ends[:, t, q, d], t <= last)
        for t, q, d in np.ndindex(*ends.shape[1:])
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))
