"""Theory against measured chains: fits, predictions, derivations.

`fit` is the entry point; it is loaded on first use.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name in ("Result", "fit"):
        from analysis.comparison import fit

        return getattr(fit, name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
