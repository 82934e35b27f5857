"""Matplotlib, also where the environment names a backend that it does not know."""

import os
import sys
import warnings


def require_matplotlib() -> None:
    """Load matplotlib; a backend that it refuses (MPLBACKEND) is dropped with a warning.

    Pictures go to files, for which none is needed.
    """
    if "matplotlib" in sys.modules:
        return
    try:
        import matplotlib
    except ValueError:
        refused = os.environ.pop("MPLBACKEND", None)
        if refused is None:
            raise
        warnings.warn(
            f"MPLBACKEND is {refused!r}, which matplotlib does not know: left out", stacklevel=2
        )
        import matplotlib  # noqa: F401
