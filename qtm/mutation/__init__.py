"""Mutation: variance that each generation adds, from training, sampler and decoder noise.

One file a form. A new form is one file with one final class derived from `Mutation`, found
automatically; docs/forms.md has an example.
"""

from qtm._forms import loader, modules
from qtm.mutation._base import Mutation

__all__ = ["Mutation"]
__all__ += modules("mutation")
__getattr__ = loader("mutation", globals())


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
