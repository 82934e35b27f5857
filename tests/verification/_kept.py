"""Kept runs and their fit, as verifications and tables read them."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from empirical.runs import kept
from empirical.runs.record import Run
from figures.fitted import KEPT
from figures.study import Study
from tests.verification._worlds import change, measured

SEEDS = (0, 1)


class End(NamedTuple):
    """The last generation of a chain: V_W and V_B of the latents relative to generation 0, the
    fraction of images that the classifier recognises, the Fréchet distance to held-out digits."""

    within: float
    between: float
    recognised: float
    frechet: float


@cache
def every_run() -> dict[str, Run]:
    """Return the kept runs of chains by name."""
    experiments = ("embedded", "neutral", "remedies")
    return {run.name: run for name in experiments for run in kept.runs(name)}


@cache
def study() -> Study:
    """Return all kept runs of chains as one study."""
    return Study(tuple(every_run().values()))


@cache
def end(name: str) -> End:
    """Return the last generation of a kept run."""
    run = every_run()[name]
    return End(
        change(run, "within"), change(run, "between"),
        measured(run, "accuracy"), measured(run, "frechet"),
    )  # fmt: skip


def baseline(scale: float, seed: int) -> str:
    """Return the name of a chain with a constant scale."""
    return f"baseline,seed={seed},guidance.scale={scale:g}"


def ends(scale: float) -> list[End]:
    """Return the last generations of the chains with a constant scale, a seed each."""
    return [end(baseline(scale, seed)) for seed in SEEDS]


@cache
def comparison() -> pd.DataFrame:
    """Return the scores of the kept fit, a row for each model."""
    return pd.read_csv(KEPT / "comparison.csv").set_index("model")


def mean(values: list[float]) -> float:
    return float(np.mean(values))
