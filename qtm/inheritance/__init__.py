"""Inheritance: how far a finetuned model takes up its training set. One file a form.

A new form is one file with one final class derived from `Inheritance`, found automatically;
docs/forms.md has an example.
"""

from qtm._forms import loader, modules
from qtm.inheritance._base import Inheritance

__all__ = ["Inheritance"]
__all__ += modules("inheritance")
__getattr__ = loader("inheritance", globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
