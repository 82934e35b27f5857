"""Forecasts of the kept chains from their first two generations alone, beside naive ones.

python -m tests.trials.forecasts [EXPERIMENT]
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("JAX_PLATFORMS", "cpu")

SEEN = 2


def main() -> None:
    import numpy as np
    import pandas as pd

    from analysis.arms.read import arms
    from analysis.prediction.forecast import forecast
    from empirical.runs import kept

    rows = []
    for arm in arms(kept.runs(*sys.argv[1:]))[0]:
        ahead = arm.generations - SEEN
        short = replace(
            arm,
            measured=arm.measured[: SEEN + 1],
            sampling=arm.sampling[: SEEN + 1],
            scales=arm.scales[:SEEN],
        )
        low, middle, high = np.quantile(forecast([short], ahead).paths, [0.05, 0.5, 0.95], axis=0)
        y, last = arm.measured[SEEN + 1 :], arm.measured[SEEN]
        step = (last - arm.measured[0]) / SEEN
        told = {
            "forecast": middle[SEEN + 1 :],
            "no change": last,
            "linear": last + step * np.arange(1, ahead + 1)[:, None, None],
        }
        inside = (low[SEEN + 1 :] <= y) & (y <= high[SEEN + 1 :])
        for q, quantity in ((1, "ln V_W"), (2, "ln V_B")):
            row = {"run": arm.name, "quantity": quantity, "in 90 %": inside[:, q].mean()}
            errors = {name: np.abs(what - y)[:, q].mean() for name, what in told.items()}
            rows.append({**row, **errors})
    table = pd.DataFrame(rows)
    print(table.groupby("quantity")[["forecast", "no change", "linear", "in 90 %"]].mean().round(3))


if __name__ == "__main__":
    main()
