"""ArviZ, imported late and without what it says of its own future."""

import warnings
from typing import Any

from analysis._backend import require_matplotlib


def arviz() -> Any:
    """Import ArviZ: it takes a second."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        require_matplotlib()
        import arviz
    return arviz
