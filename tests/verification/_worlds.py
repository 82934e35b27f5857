"""The same measurements of chains in three worlds: digits, and drawings with captions of two kinds.

A world has chains at constant scales, one or two seeds each, and chains with ReDiFine at CFG 7.5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from empirical.runs import kept
from empirical.runs.record import Run

LAST = 6
# Of ln w, between the neighbouring scales of an interpolation.
_FAR = 0.55


@dataclass(frozen=True)
class World:
    """Names of kept chains: experiments, and patterns with places for the seed and the scale."""

    label: str
    experiments: tuple[str, ...]
    baseline: str
    redifine: str
    fit: str

    def chains(self, pattern: str, scale: float = 0.0) -> list[Run]:
        """Return the chains of a pattern, a seed each."""
        names = [pattern.format(seed=seed, scale=f"{scale:g}") for seed in (0, 1)]
        known = {name: run for e in self.experiments for name, run in runs(e).items()}
        return [known[name] for name in names if name in known]

    def at(self, scale: float) -> list[Run]:
        """Return the chains at a constant scale."""
        return self.chains(self.baseline, scale)

    def remedied(self) -> list[Run]:
        return self.chains(self.redifine)

    def scales(self) -> list[float]:
        """Return the constant scales of chains, rising."""
        return [w for w in (1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.5, 2.5, 5, 7.5) if self.at(w)]


_PLAIN = "baseline,seed={seed},guidance.scale={scale}"
WORLDS = (
    World(
        "digits", ("embedded", "neutral"), _PLAIN, "redifine_rate,seed={seed},remedy.rate=15",
        "embedded",
    ),
    World("drawings, a caption each", ("emoji",), _PLAIN, "redifine,seed={seed}", "emoji"),
    World(
        "drawings, family captions", ("emoji",), "families,seed={seed},guidance.scale={scale}",
        "families_redifine,seed={seed}", "emoji-families",
    ),
)  # fmt: skip


@cache
def runs(experiment: str) -> dict[str, Run]:
    """Return the kept runs of an experiment by name."""
    return {run.name: run for run in kept.runs(experiment)}


def moments(run: Run, trait: str) -> pd.DataFrame:
    """Return mean, within and between of a trait by generation, averaged over its components."""
    table = run.moments()
    table = table[table["feature"] == trait]
    return table.groupby("generation")[["mean", "within", "between"]].mean()


def change(run: Run, quantity: str) -> float:
    """Return V_W or V_B of the latents in the last generation, relative to generation 0."""
    V = moments(run, "latent")[quantity]
    return float(V[LAST] / V[0])


def shift(run: Run, trait: str) -> float:
    """Return the change of a trait's mean to the last generation, in its standard deviations in
    generation 0."""
    table = moments(run, trait)
    first = table.loc[0]
    return float(
        (table["mean"][LAST] - first["mean"]) / np.sqrt(first["within"] + first["between"])
    )


def measured(run: Run, measure: str, generation: int = LAST) -> float:
    """Return a measure of a generation, the last one unless given; 0 are the real images."""
    return float(run.metrics().set_index("generation")[measure][generation])


def neutral(world: World, generation: int) -> list[float]:
    """Return the scale at which V_B of a generation is that of generation 0, of each seed."""
    by_seed: dict[int, dict[float, Run]] = {}
    for scale in world.scales():
        for run in world.at(scale):
            by_seed.setdefault(run.recipe.seed, {})[scale] = run
    return [neutral_scale(by_seed[seed], generation) for seed in sorted(by_seed)]


def neutral_scale(chains: Mapping[float, Run], generation: int) -> float:
    """Return the scale at which V_B of a generation is that of generation 0, ln V_B interpolated in
    ln w between chains by their scale; nan where no two chains, less than a factor of 1.7 apart,
    lie on both sides."""
    scales, growth = sorted(chains), []
    for scale in scales:
        V_B = moments(chains[scale], "latent")["between"]
        growth.append(float(np.log(V_B[generation] / V_B[0])))
    x = np.log(scales)
    above = np.flatnonzero(np.array(growth) >= 0)
    if not len(above) or above[0] == 0:
        return float("nan")
    i = int(above[0])
    if x[i] - x[i - 1] > _FAR:
        return float("nan")
    part = -growth[i - 1] / (growth[i] - growth[i - 1])
    return float(np.exp(x[i - 1] + part * (x[i] - x[i - 1])))
