"""Forecasts of chains on drawings in colour, written down before the chains were run.

From a scan: generations 2 to 6, beside generation 1 kept unchanged and the line through generations
0 and 1. From generations 0 to 2 of the chain: generations 3 to 6, beside generation 2 kept
unchanged and the line through generations 0 and 2. Errors are mean absolute ones of ln V_W and
ln V_B of the latents, and of the means of all traits of one component in standard deviations of
generation 0; "in 90 %" is the fraction of values within the intervals.
"""

from tests.verification.expectations import Claim

CLAIMS: tuple[Claim, ...] = ()
EXPECTED: dict = {}
SECONDS, MEMORY = 10, 0.5
QUANTITIES = ("ln V_W", "ln V_B", "means")


def measure() -> dict[str, float]:
    values = {}
    for source, seen in (("scan", 1), ("generations", 2)):
        table = _errors(source, seen)
        print(f"\nfrom {source}:\n{table.round(2).to_string()}")
        for kind in table.index:
            for name in table.columns:
                values[f"{kind}, from {source}: {name}"] = float(table.loc[kind, name])
    return values


def _errors(source: str, seen: int):
    """Return mean errors and coverage, a row for each kind of captions."""
    import lzma

    import numpy as np
    import pandas as pd

    from figures.fitted import KEPT
    from tests.verification._worlds import LAST, moments, runs

    name = {"scan": "forecasts_from_scans", "generations": "forecasts_from_generations"}[source]
    with lzma.open(KEPT.parent / "emoji" / f"{name}.csv.xz", "rt") as file:
        forecasts = pd.read_csv(file)
    forecasts = forecasts[forecasts["generation"].between(seen + 1, LAST)]
    rows = []
    for (chain, trait, quantity), part in forecasts.groupby(["chain", "feature", "quantity"]):
        if (quantity != "mean" and trait != "latent") or trait in ("latent_pc", "power_spectrum"):
            continue
        table = moments(runs("emoji")[chain], trait)
        unit = np.sqrt(table["within"][0] + table["between"][0])
        part = part.set_index("generation")[["low", "median", "high"]]
        measured, part = (
            values / unit if quantity == "mean" else np.log(values)
            for values in (table[quantity], part)
        )
        y = measured.loc[part.index]
        line = measured[seen] + (measured[seen] - measured[0]) / seen * (part.index - seen)
        low, median, high = (part[level] for level in ("low", "median", "high"))
        label = {"mean": "means", "within": "ln V_W", "between": "ln V_B"}[quantity]
        kind = "families" if chain.startswith("families") else "a caption each"
        rows.append(
            {
                "kind": kind,
                label: np.abs(median - y).mean(),
                f"{label}, no change": np.abs(measured[seen] - y).mean(),
                f"{label}, linear": np.abs(line - y).mean(),
                f"{label}, in 90 % (%)": 100 * ((low <= y) & (y <= high)).mean(),
            }
        )
    table = pd.DataFrame(rows)
    return table.groupby("kind").mean()
