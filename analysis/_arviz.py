"""ArviZ, imported lazily and without its deprecation warnings."""

import warnings
from typing import Any

from analysis._backend import require_matplotlib


def arviz() -> Any:
    """Import ArviZ, which takes a second."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        require_matplotlib()
        import arviz
    return arviz
