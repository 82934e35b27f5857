"""Selection, the part of the life cycle that guided sampling plays: one file a form.

A new form is one file with one final class, derived from `Selection`, or from `FitnessSelection`
where individuals differ in fitness, and one line here and in `qtm`.
"""

from qtm.selection._base import FitnessSelection, Selection
from qtm.selection.best_of import BestOf
from qtm.selection.directional import Directional
from qtm.selection.disruptive import Disruptive
from qtm.selection.fitness import Fitness
from qtm.selection.guidance import Guidance
from qtm.selection.middle import Middle
from qtm.selection.neutral import Neutral
from qtm.selection.noise import ByNoise
from qtm.selection.soft_truncation import SoftTruncation
from qtm.selection.stabilizing import Stabilizing
from qtm.selection.tails import Tails
from qtm.selection.truncation import Truncation

__all__ = [
    "BestOf",
    "ByNoise",
    "Directional",
    "Disruptive",
    "Fitness",
    "FitnessSelection",
    "Guidance",
    "Middle",
    "Neutral",
    "Selection",
    "SoftTruncation",
    "Stabilizing",
    "Tails",
    "Truncation",
]
