"""Data sets that come with this package: real images to start chains from, and held-out ones.

A data set is one file here with one function, ``captioned(part)``, that returns the images of
``"real"`` or ``"reference"`` as `Captioned`; no image is in both. Its name in a recipe is the
file's, with hyphens for underscores. Files whose names start with an underscore are shared.
"""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from empirical.embedded._captioned import SIDE, Captioned

__all__ = ["MODELS", "SIDE", "Captioned", "Part", "are_embedded", "is_embedded", "load", "names"]

Part = Literal["real", "reference"]

# The folder of the models that come with this package.
MODELS = Path(__file__).parents[1] / "models"


@cache
def names() -> tuple[str, ...]:
    """Return the names of all data sets, found by listing this package."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.replace("_", "-") for name in modules if not name.startswith("_")))


def is_embedded(name: str) -> bool:
    """Return whether a data set of a recipe is one of this package."""
    return name in names()


def are_embedded(sets: Sequence[str]) -> bool:
    """Return whether the data of a recipe are a single data set of this package.

    It then has a separate reference; several share what each has left over.
    """
    return len(sets) == 1 and is_embedded(sets[0])


@cache
def load(name: str, part: Part) -> Captioned:
    """Return the real images or the reference of a data set of this package, by name."""
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    return module.captioned(part)
