"""Measures of a set of images.

A measure is one file here with one function: ``alone(sample)`` measures one set,
``against(pair)`` compares a set with a reference. Either returns nan where it is undefined (too
few images, no captions). Three things are optional: ``RANGE``, the values it can take, which bounds
its interval; ``caution(pair)``, a warning where the number needs care, else None;
``FEATURES``, the one extractor it is defined for. Its name is the file's.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType


def every_measure() -> Mapping[str, ModuleType]:
    """Return each measure's file by name, found by listing this package."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    public = (name for name in names if not name.startswith("_"))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in public}
