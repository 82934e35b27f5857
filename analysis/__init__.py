"""What theory and measured chains say about each other: fits, predictions, derivations.

`fit` is the front door; it is loaded when it is asked for.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("Result", "fit"):
        from analysis.comparison import fit

        return getattr(fit, name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
