"""Load Matplotlib even where the environment names an unknown backend."""

import os
import sys
import warnings


def require_matplotlib() -> None:
    """Ignore a backend that matplotlib would reject (MPLBACKEND), with a warning.

    Figures go to files, which need no backend. Where one is named, matplotlib is loaded, because
    only matplotlib knows the valid names.
    """
    if "matplotlib" in sys.modules or os.environ.get("MPLBACKEND", "agg") == "agg":
        return
    # Matplotlib aborts its import at an unknown backend.
    name = os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if not name:
        return
    try:
        matplotlib.rcParams["backend"] = name
        os.environ["MPLBACKEND"] = name
    except ValueError:
        warnings.warn(f"matplotlib has no backend {name!r} (MPLBACKEND): ignored", stacklevel=2)
