"""Forecasts of chains on drawings, written down before the chains were run, and their errors."""

import lzma
from collections.abc import Iterator

import numpy as np
import pandas as pd

from figures.fitted import KEPT
from tests.verification._worlds import LAST, moments, runs
from tests.verification.tables import markdown

# Each file of forecasts, with the last generation that they knew.
_SOURCES = {"a scan": ("forecasts_from_scans", 1), "two rounds": ("forecasts_from_generations", 2)}
_QUANTITIES = {"within": "ln V_W", "between": "ln V_B", "mean": "means"}
# Their components share a chain's forecast, or were not forecast from generations.
_VECTORS = ("latent_pc", "power_spectrum")


def table() -> str:
    """Return mean absolute errors of later generations beside two naive forecasts.

    Of the latents' ln V_W and ln V_B, and of the means of traits, averaged over their components,
    in standard deviations of generation 0.
    """
    head = ["from, captions", "quantity", "error", "no change", "line", "in 90 %"]
    rows = []
    for source, (name, seen) in _SOURCES.items():
        scored = pd.DataFrame(_scores(name, seen))
        means = scored.groupby(["captions", "quantity"]).mean()
        for captions in ("one each", "families"):
            for label in _QUANTITIES.values():
                row = means.loc[captions, label]
                errors = [f"{row[kind]:.2f}" for kind in ("error", "unchanged", "line")]
                rows.append(
                    [f"{source}, {captions}", label, *errors, f"{100 * row['inside']:.0f} %"]
                )
    return markdown(head, "llrrrr", rows)


def _scores(name: str, seen: int) -> Iterator[dict[str, object]]:
    with lzma.open(KEPT.parent / "emoji" / f"{name}.csv.xz", "rt") as file:
        forecasts = pd.read_csv(file)
    forecasts = forecasts[forecasts["generation"].between(seen + 1, LAST)]
    for (chain, trait, quantity), part in forecasts.groupby(["chain", "feature", "quantity"]):
        if trait in _VECTORS or (quantity != "mean" and trait != "latent"):
            continue
        measured = moments(runs("emoji")[chain], trait)
        unit = np.sqrt(measured["within"][0] + measured["between"][0])
        part = part.set_index("generation")[["low", "median", "high"]]
        y, part = (
            values / unit if quantity == "mean" else np.log(values)
            for values in (measured[quantity], part)
        )
        later = y.loc[part.index]
        line = y[seen] + (y[seen] - y[0]) / seen * (part.index - seen)
        yield {
            "captions": "families" if chain.startswith("families") else "one each",
            "quantity": _QUANTITIES[quantity],
            "error": np.abs(part["median"] - later).mean(),
            "unchanged": np.abs(y[seen] - later).mean(),
            "line": np.abs(line - later).mean(),
            "inside": ((part["low"] <= later) & (later <= part["high"])).mean(),
        }
