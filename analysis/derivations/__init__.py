r"""Results of the theory, derived independently with sympy: one module per result.

Each module has a function `derive()` that returns the result as a dictionary of sympy expressions,
obtained by integration, differentiation or solving, never written down. Modules, and sympy with
them, load on first use:

    >>> from analysis import derivations
    >>> derivations.stabilizing.derive()["mean"]
    (V*theta + m*w2)/(V + w2)
    >>> print(derivations.latex("stabilizing")["mean"])
    \frac{V \theta + m w_{2}}{V + w_{2}}
"""

import pkgutil
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from empirical.errors import UserError

__all__ = sorted(  # pyright: ignore[reportUnsupportedDunderAll]
    module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")
)


def __getattr__(name: str) -> ModuleType:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def result(name: str) -> ModuleType:
    """Return the module of a result. Raises `UserError` for a name that is not in `__all__`."""
    if name not in __all__:
        raise UserError(f"there is no derivation '{name}', there are {', '.join(__all__)}")
    return import_module(f"{__name__}.{name}")


@cache
def derived(name: str) -> dict[str, Any]:
    """Return the sympy expressions of a result by name, derived once in a process.

    Raises `UserError` for a name that is not in `__all__`.
    """
    return result(name).derive()


def latex(name: str) -> dict[str, str]:
    """Return the expressions of a result as LaTeX, by name.

    Raises `UserError` for a name that is not in `__all__`.
    """
    import sympy

    return {key: sympy.latex(expression) for key, expression in derived(name).items()}
