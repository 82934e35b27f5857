"""Forecasts of the kept chains from their first two generations alone, beside naive ones.

Mean absolute errors of ln V_W and ln V_B over generations 3 to the last, averaged over chains.
"""

from dataclasses import replace

from tests.verification.expectations import Claim, Measured, exactly, rounded

SEEN = 2
# Draws of a forecast, and the parts of them whose medians scatter as much as chance lets them.
DRAWS, PARTS = 4096, 8
CLAIMS = (
    Claim("docs/fits.md", "Mean absolute errors of generations 3 to 6, predicted from generations "
    "0 to 2 of one chain: | chains | ln V_W, ln V_B | no change | linear extrapolation | in 90 % "
    "intervals | |---|---:|---:|---:|---:| | 42 of digits; the priors were chosen on them | 0.13, "
    "0.16 | 0.28, 0.38 | 0.39, 0.83 | 98 %, 96 % |"),
)  # fmt: skip
EXPECTED = {
    "chains": exactly(42),
    "forecast, ln V_W": rounded(0.13, 2, errors=3),
    "forecast, ln V_B": rounded(0.16, 2, errors=3),
    "no change, ln V_W": rounded(0.28, 2),
    "no change, ln V_B": rounded(0.38, 2),
    "linear, ln V_W": rounded(0.39, 2),
    "linear, ln V_B": rounded(0.83, 2),
    "in 90 %, ln V_W (%)": rounded(98),
    "in 90 %, ln V_B (%)": rounded(96),
}
SECONDS, MEMORY = 55, 1.0


def measure(experiment: str = "embedded") -> dict[str, float | Measured]:
    import numpy as np
    import pandas as pd

    from analysis.arms.read import arms
    from analysis.prediction.forecast import forecast
    from empirical.runs import kept

    described, rows = arms(kept.runs(experiment))[0], []
    for arm in described:
        ahead = arm.generations - SEEN
        short = replace(
            arm,
            measured=arm.measured[: SEEN + 1],
            sampling=arm.sampling[: SEEN + 1],
            scales=arm.scales[:SEEN],
        )
        paths = forecast([short], ahead, draws=DRAWS).paths
        low, middle, high = np.quantile(paths, [0.05, 0.5, 0.95], axis=0)
        medians = [np.median(part, axis=0)[SEEN + 1 :] for part in np.array_split(paths, PARTS)]
        y, last = arm.measured[SEEN + 1 :], arm.measured[SEEN]
        step = (last - arm.measured[0]) / SEEN
        predicted = {
            "forecast": middle[SEEN + 1 :],
            "no change": last,
            "linear": last + step * np.arange(1, ahead + 1)[:, None, None],
        }
        inside = (low[SEEN + 1 :] <= y) & (y <= high[SEEN + 1 :])
        for q, quantity in ((1, "ln V_W"), (2, "ln V_B")):
            errors = {name: np.abs(value - y)[:, q].mean() for name, value in predicted.items()}
            parts = [np.abs(median - y)[:, q].mean() for median in medians]
            chance = np.var(parts, ddof=1) / PARTS
            inner = inside[:, q].mean()
            rows.append({"quantity": quantity, "inside": inner, "chance": chance, **errors})
    means = pd.DataFrame(rows).groupby("quantity").mean()
    values: dict[str, float | Measured] = {"chains": float(len(described))}
    for quantity in means.index:
        for name in ("forecast", "no change", "linear"):
            error = (means.loc[quantity, "chance"] / len(described)) ** 0.5
            value = float(means.loc[quantity, name])
            values[f"{name}, {quantity}"] = Measured(value, error if name == "forecast" else 0)
        values[f"in 90 %, {quantity} (%)"] = 100 * float(means.loc[quantity, "inside"])
    return values
