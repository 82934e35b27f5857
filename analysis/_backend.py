"""Matplotlib, also where the environment names a backend that it does not know."""

import os
import sys
import warnings


def require_matplotlib() -> None:
    """Leave out a backend that matplotlib would refuse (MPLBACKEND), with a warning.

    Pictures go to files, for which none is needed. Where a backend is named matplotlib is loaded,
    which alone knows which there are.
    """
    if "matplotlib" in sys.modules or os.environ.get("MPLBACKEND", "agg") == "agg":
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
