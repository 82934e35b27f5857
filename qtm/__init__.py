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
    from qtm import family
    from qtm.family import neutral_scale, response
    from qtm.inheritance import Clonal, Regression
    from qtm.lifecycle import LifeCycle, Trajectory, evolve
    from qtm.mutation import GaussianMutation, NoMutation
    from qtm.selection import Directional, Guidance, Neutral, Stabilizing, Truncation
    from qtm.states import Individuals, Moments

__all__ = [
    "Clonal",
    "Directional",
    "GaussianMutation",
    "Guidance",
    "Individuals",
    "LifeCycle",
    "Moments",
    "Neutral",
    "NoMutation",
    "Regression",
    "Stabilizing",
    "Trajectory",
    "Truncation",
    "evolve",
    "family",
    "neutral_scale",
    "response",
]

_HOME = {
    "Clonal": "inheritance",
    "Directional": "selection",
    "GaussianMutation": "mutation",
    "Guidance": "selection",
    "Individuals": "states",
    "LifeCycle": "lifecycle",
    "Moments": "states",
    "Neutral": "selection",
    "NoMutation": "mutation",
    "Regression": "inheritance",
    "Stabilizing": "selection",
    "Trajectory": "lifecycle",
    "Truncation": "selection",
    "evolve": "lifecycle",
    "neutral_scale": "family",
    "response": "family",
}


def __getattr__(name: str) -> Any:
    if name == "family":
        return import_module("qtm.family")
    if name not in _HOME:
        raise AttributeError(f"module 'qtm' has no attribute {name!r}")
    value = getattr(import_module(f"qtm.{_HOME[name]}"), name)
    globals()[name] = value  # the next access finds it without coming here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
