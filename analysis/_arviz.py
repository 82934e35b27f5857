"""ArviZ, imported late and without what it says of its own future."""

import warnings
from typing import Any


def arviz() -> Any:
    """Import ArviZ: it takes a second."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import arviz
    return arviz
