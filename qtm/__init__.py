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

# ruff: noqa: F401  (names for type checkers)

from importlib import import_module
from typing import TYPE_CHECKING, Any

# For type checkers, which cannot search a folder: a form missing from this list still works.
if TYPE_CHECKING:
    from qtm import mixture
    from qtm.cycle import family
    from qtm.cycle.equilibrium import equilibrium
    from qtm.cycle.evolution import Trajectory, evolve
    from qtm.cycle.family import neutral_scale, response
    from qtm.cycle.family_cycle import FamilyCycle
    from qtm.cycle.lifecycle import LifeCycle
    from qtm.cycle.prompt_cycle import PromptCycle
    from qtm.inheritance.clonal import Clonal
    from qtm.inheritance.infinitesimal import Infinitesimal
    from qtm.inheritance.refit import Refit
    from qtm.inheritance.regression import Regression
    from qtm.mutation.gaussian import GaussianMutation
    from qtm.mutation.house_of_cards import HouseOfCards
    from qtm.mutation.laplace import LaplaceMutation
    from qtm.mutation.none import NoMutation
    from qtm.mutation.student import StudentMutation
    from qtm.selection.best_of import BestOf
    from qtm.selection.directional import Directional
    from qtm.selection.disruptive import Disruptive
    from qtm.selection.fitness import Fitness
    from qtm.selection.guidance import Guidance
    from qtm.selection.levels import AtLevels
    from qtm.selection.middle import Middle
    from qtm.selection.neutral import Neutral
    from qtm.selection.noise import ByNoise
    from qtm.selection.soft_truncation import SoftTruncation
    from qtm.selection.stabilizing import Stabilizing
    from qtm.selection.tails import Tails
    from qtm.selection.truncation import Truncation
    from qtm.states import Density, Families, Individuals, JointMoments, Moments, Prompts
    from qtm.sweeps.many import evolve_many
    from qtm.sweeps.run import sweep

# The module of each name except forms, which `qtm._forms` finds, and the names that are modules.
_HOME = {
    "AtLevels": "selection.levels",
    "ByNoise": "selection.noise",
    "Density": "states",
    "Families": "states",
    "FamilyCycle": "cycle.family_cycle",
    "Individuals": "states",
    "JointMoments": "states",
    "LifeCycle": "cycle.lifecycle",
    "Moments": "states",
    "PromptCycle": "cycle.prompt_cycle",
    "Prompts": "states",
    "Trajectory": "cycle.evolution",
    "equilibrium": "cycle.equilibrium",
    "evolve": "cycle.evolution",
    "evolve_many": "sweeps.many",
    "neutral_scale": "cycle.family",
    "response": "cycle.family",
    "sweep": "sweeps.run",
}
_MODULES = {"family": "cycle.family", "mixture": "mixture"}
# Computed with all of the above, so that it is none of the names that make up the theory.
_ABOVE = {"results": "results"}


def __getattr__(name: str) -> Any:
    from qtm._forms import all_modules

    if name == "__all__":
        value = sorted({*_HOME, *_MODULES, *all_modules()})
    elif name in _MODULES or name in _ABOVE:
        value = import_module(f"qtm.{(_MODULES | _ABOVE)[name]}")
    elif name in _HOME:
        value = getattr(import_module(f"qtm.{_HOME[name]}"), name)
    elif name in all_modules():
        value = getattr(import_module(all_modules()[name]), name)
    else:
        raise AttributeError(f"module 'qtm' has no attribute {name!r}")
    globals()[name] = value  # the next access does not call this function
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__getattr__("__all__")})
