"""Selection, the part of the life cycle that guided sampling plays: one file a form.

A new form is one file with one final class, derived from `Selection`, or from `FitnessSelection`
where individuals differ in fitness, and one line here and in `qtm`.
"""

from qtm.selection._base import FitnessSelection, Selection
from qtm.selection.directional import Directional
from qtm.selection.guidance import Guidance
from qtm.selection.neutral import Neutral
from qtm.selection.stabilizing import Stabilizing
from qtm.selection.truncation import Truncation

__all__ = [
    "Directional",
    "FitnessSelection",
    "Guidance",
    "Neutral",
    "Selection",
    "Stabilizing",
    "Truncation",
]
