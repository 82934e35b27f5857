"""Quantitative-trait models of diffusion models that are finetuned on their own images.

A feature of an image is a trait, the images of one generation are a population, and one round of
finetuning and sampling is one life cycle:

    inherit (finetune) -> select (guided sampling) -> mutate -> sample N images

    >>> import qtm
    >>> cycle = qtm.LifeCycle(selection=qtm.Truncation(fraction=0.5))
    >>> path = qtm.evolve(cycle, qtm.Moments(mean=0.0, variance=1.0), generations=6)
    >>> path.variance.shape
    (7,)

Names load on first use: `import qtm` itself does not load JAX. Every number is a float64, because
loading a name switches JAX to 64-bit (`jax_enable_x64`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qtm import mixture
    from qtm.cycle import family
    from qtm.cycle.equilibrium import equilibrium
    from qtm.cycle.evolution import Trajectory, evolve
    from qtm.cycle.family import neutral_scale, response
    from qtm.cycle.family_cycle import FamilyCycle
    from qtm.cycle.lifecycle import LifeCycle
    from qtm.inheritance import Clonal, Infinitesimal, Refit, Regression
    from qtm.mutation import (
        GaussianMutation,
        HouseOfCards,
        LaplaceMutation,
        NoMutation,
        StudentMutation,
    )
    from qtm.selection import (
        BestOf,
        ByNoise,
        Directional,
        Disruptive,
        Fitness,
        Guidance,
        Middle,
        Neutral,
        SoftTruncation,
        Stabilizing,
        Tails,
        Truncation,
    )
    from qtm.states import Density, Families, Individuals, JointMoments, Moments
    from qtm.sweeps.many import evolve_many
    from qtm.sweeps.run import sweep

__all__ = [
    "BestOf",
    "ByNoise",
    "Clonal",
    "Density",
    "Directional",
    "Disruptive",
    "Families",
    "FamilyCycle",
    "Fitness",
    "GaussianMutation",
    "Guidance",
    "HouseOfCards",
    "Individuals",
    "Infinitesimal",
    "JointMoments",
    "LaplaceMutation",
    "LifeCycle",
    "Middle",
    "Moments",
    "Neutral",
    "NoMutation",
    "Refit",
    "Regression",
    "SoftTruncation",
    "Stabilizing",
    "StudentMutation",
    "Tails",
    "Trajectory",
    "Truncation",
    "equilibrium",
    "evolve",
    "evolve_many",
    "family",
    "mixture",
    "neutral_scale",
    "response",
    "sweep",
]

_MODULES = {"family": "cycle.family", "mixture": "mixture"}
_HOME = {
    "BestOf": "selection",
    "ByNoise": "selection",
    "Clonal": "inheritance",
    "Density": "states",
    "Directional": "selection",
    "Disruptive": "selection",
    "Families": "states",
    "FamilyCycle": "cycle.family_cycle",
    "Fitness": "selection",
    "GaussianMutation": "mutation",
    "Guidance": "selection",
    "HouseOfCards": "mutation",
    "Individuals": "states",
    "Infinitesimal": "inheritance",
    "JointMoments": "states",
    "LaplaceMutation": "mutation",
    "LifeCycle": "cycle.lifecycle",
    "Middle": "selection",
    "Moments": "states",
    "Neutral": "selection",
    "NoMutation": "mutation",
    "Refit": "inheritance",
    "Regression": "inheritance",
    "SoftTruncation": "selection",
    "Stabilizing": "selection",
    "StudentMutation": "mutation",
    "Tails": "selection",
    "Trajectory": "cycle.evolution",
    "Truncation": "selection",
    "equilibrium": "cycle.equilibrium",
    "evolve": "cycle.evolution",
    "evolve_many": "sweeps.many",
    "neutral_scale": "cycle.family",
    "response": "cycle.family",
    "sweep": "sweeps.run",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"qtm.{_MODULES[name]}")
    if name not in _HOME:
        raise AttributeError(f"module 'qtm' has no attribute {name!r}")
    value = getattr(import_module(f"qtm.{_HOME[name]}"), name)
    globals()[name] = value  # the next access finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
