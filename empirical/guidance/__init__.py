"""Guidance rules: how strongly, and how, the prompt steers a denoiser.

A rule is one file here with one class derived from `GuidanceRule`. Its fields are its keys in a
recipe; its name there, the key ``rule``, is the file's. No other line needs an edit, and reading
a recipe needs no torch: a rule imports it where it computes, if at all.
"""

import importlib
import pkgutil
from collections.abc import Mapping

from empirical.guidance._base import GuidanceRule, Levels
from empirical.guidance.constant import Constant
from empirical.guidance.decay import Decay

__all__ = ["Constant", "Decay", "GuidanceRule", "Levels", "every_rule"]


def every_rule() -> Mapping[str, type[GuidanceRule]]:
    """Return each rule by its name in a recipe, found by listing this package."""
    for module in sorted(entry.name for entry in pkgutil.iter_modules(__path__)):
        if not module.startswith("_"):
            importlib.import_module(f"{__name__}.{module}")
    rules = {rule.key(): rule for rule in GuidanceRule.__subclasses__()}
    return dict(sorted(rules.items()))


# The recipe makes a union of all subclasses, so all of them must exist by then.
every_rule()
