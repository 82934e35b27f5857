"""Matplotlib, also where the environment names a backend that it does not know."""

import os
import sys
import warnings


def require_matplotlib() -> None:
    """Load matplotlib; a backend that it refuses (MPLBACKEND) is left out with a warning.

    Pictures go to files, for which none is needed.
    """
    if "matplotlib" in sys.modules:
        return
    # It ends its own import halfway at the name of a backend that it does not know.
    name = os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if not name:
        return
    try:
        matplotlib.rcParams["backend"] = name
        os.environ["MPLBACKEND"] = name
    except ValueError:
        warnings.warn(f"matplotlib knows no backend {name!r} (MPLBACKEND): left out", stacklevel=2)
