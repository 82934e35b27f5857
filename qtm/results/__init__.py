"""Named results of the field, reproduced with the theory of this package: one file a result.

A result is a module here: its docstring states it, with the equation and an example; `SOURCE` names
the source, `compute()` returns the `Reproduction`: numbers computed by a life cycle, a selection or
the exact mixture beside those that the source expects, and a panel for a figure. It is found by
listing this package. Numbers come from closed forms; results without one are shown by sign and
shape.

    >>> from qtm import results
    >>> drift = results.reproduce("refit_drift")
    >>> all(check.holds for check in drift.checks)
    True
"""

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from qtm.errors import UserError

if TYPE_CHECKING:
    from qtm.results._result import Reproduction

__all__ = ["names", "reproduce", "result", "title"]


def names() -> list[str]:
    """Return the names of all results, in the order of the alphabet."""
    modules = pkgutil.iter_modules(__path__)
    return sorted(module.name for module in modules if not module.name.startswith("_"))


def result(name: str) -> ModuleType:
    """Return the module of a result. Raises `UserError` for a name that is not in `names()`."""
    if name not in names():
        raise UserError(f"there is no named result '{name}', there are {', '.join(names())}")
    return import_module(f"{__name__}.{name}")


def title(name: str) -> str:
    """Return the statement of a result in one sentence. Raises `UserError` as `result` does."""
    return (result(name).__doc__ or name).partition("\n")[0]


@cache
def reproduce(name: str) -> "Reproduction":
    """Return the numbers and the panel of a result, computed once in a process.

    Raises `UserError` for a name that is not in `names()`.
    """
    return result(name).compute()
