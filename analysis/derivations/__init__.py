"""Results of the theory, derived again with sympy: one module a result.

Each module has a function `derive()` that returns the result as a dictionary of sympy expressions,
reached by integration, differentiation or solving, never written down. Modules load, and sympy with
them, on first use:

    >>> from analysis import derivations
    >>> derivations.stabilizing.derive()["mean"]
"""

import pkgutil
from importlib import import_module
from types import ModuleType

__all__ = sorted(module.name for module in pkgutil.iter_modules(__path__))  # pyright: ignore


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
