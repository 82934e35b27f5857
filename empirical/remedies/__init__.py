"""Remedies against collapse, one class in one file each.

A remedy may change settings of the recipe, noise the latents that a generation learns from, or say
which images it learns from. Its fields are its keys in a recipe's table ``[remedy]``, with its
``name``. A new file in this folder is imported automatically.
"""

from importlib import import_module
from pkgutil import iter_modules

from empirical.remedies._base import Remedy

for _module in iter_modules(__path__):
    if not _module.name.startswith("_"):
        import_module(f"{__name__}.{_module.name}")

__all__ = ["Remedy"]
