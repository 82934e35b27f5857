"""Selection, the part of the life cycle that guided sampling plays: one file a form.

A new form is one file with one final class, derived from `Selection`, or from `FitnessSelection`
where individuals differ in fitness. It is found automatically; docs/forms.md has an example.
"""

from qtm._forms import loader, modules
from qtm.selection._base import FitnessSelection, Selection

__all__ = ["FitnessSelection", "Selection"]
__all__ += modules("selection")
__getattr__ = loader("selection", globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
