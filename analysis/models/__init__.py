"""Models of experiments: how one generation changes the families of a trait, in every arm.

A model is one class in a file here, found by listing this package. It has parameters, shared by
all arms, and one `step`, from the families of one generation (mean, V_W, V_B) to those expected
next under a guidance scale. A `Theory` has a `cycle` instead, a `qtm.FamilyCycle`: inheritance,
guidance and mutation are stated there and nowhere in this package. How the CFG scale turns into
strength of selection, the link, is a choice of the model that fits compare.
"""

import importlib
import pkgutil

from analysis.models._base import (
    EVERY_LINK,
    LINKS,
    Link,
    Model,
    Parameter,
    Setting,
    Values,
    priors,
    values_of,
)
from analysis.models._parts import Theory

__all__ = [
    "EVERY_LINK", "LINKS", "Link", "Model", "Parameter", "Setting", "Theory", "Values",
    "every_model", "priors", "values_of",
]  # fmt: skip


def every_model() -> dict[str, Model]:
    """Return each model with each of its links, by name."""
    for module in sorted(entry.name for entry in pkgutil.iter_modules(__path__)):
        if not module.startswith("_"):
            importlib.import_module(f"{__name__}.{module}")
    models = [model for kind in _leaves(Model) for model in kind.variants()]
    return {model.name: model for model in sorted(models, key=lambda model: model.name)}


def _leaves(kind: type[Model]) -> list[type[Model]]:
    leaves = [leaf for child in kind.__subclasses__() for leaf in _leaves(child)]
    return leaves or [kind]
