"""Settings whose effect the theory of prompts knows: guidance, training sets, condition drop.

Chains that it describes together must have all others in common.
"""

import json
from typing import Any

import numpy as np
from jaxtyping import Float

from analysis.arms.levels import schedule
from analysis.arms.read import DESCRIBED
from empirical.recipe import Settings
from qtm.mixture.levels import NoiseLevels

# Fewer steps than a sampler takes: the flow of a Gaussian prompt needs no more.
LEVELS = NoiseLevels.preserving(steps=20)
# Scales of 0 and below count as this one, whose logarithm is finite.
_LEAST_SCALE = 0.05


def conditions(settings: Settings) -> str:
    """Return the effective settings but those of seed, length, measuring and computing, and those
    that the theory describes."""
    table = settings.experiment()
    for name in ("seed", "generations", "measure"):
        table.pop(name, None)
    table["generate"].pop("guidance")
    for name in DESCRIBED:
        table["finetune"].pop(name)
    if settings.remedy is not None and settings.remedy.acts_by_settings():
        table["remedy"] = None
    return json.dumps(table, sort_keys=True)


def unlike(ours: str, theirs: str) -> list[str]:
    """Return the tables in which two sets of conditions differ."""
    left, right = json.loads(ours), json.loads(theirs)
    return [name for name in left if left[name] != right[name]]


def described(settings: Settings, generations: int, what: str) -> dict[str, Any]:
    """Return the fields of a chain whose effect the theory knows."""
    finetune = settings.finetune
    return {
        "scales": schedule(settings, generations, np.asarray(LEVELS.levels)[:-1], what),
        "training_set": finetune.training_set,
        "real_fraction": finetune.real_fraction,
        "dropped": finetune.condition_drop,
    }


def sources(kind: str, real_fraction: float, generations: int) -> Float[np.ndarray, "G G"]:
    """Return the fraction [t, j] of training set t that is of generation j."""
    previous, first = np.eye(generations), np.zeros((generations, generations))
    first[:, 0] = 1.0
    if kind.startswith("accumulate"):
        so_far = np.tril(np.ones_like(first))
        return so_far / so_far.sum(axis=1, keepdims=True)
    real = {"mix": real_fraction, "real": 1.0}.get(kind, 0.0)
    return (1 - real) * previous + real * first


def log_scales(scales: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Return ln w of CFG scales; those of 0 and below count as 0.05."""
    return np.log(np.maximum(scales, _LEAST_SCALE))
