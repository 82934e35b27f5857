"""Verify that a store belongs to a sweep, and to the code that computes it."""

import json
import warnings
from pathlib import Path
from typing import Any


def require_same(path: Path, stored: Any, identity: str) -> dict[str, Any]:
    """Return the identity of the sweep in `path`; raise ValueError that names the differences
    unless it is this sweep."""
    try:
        theirs = json.loads(stored)
    except (TypeError, ValueError):
        raise ValueError(f"{path} must be the store of a sweep, it is not.") from None
    if "code" not in theirs:
        raise ValueError(
            f"{path} was begun by a version of qtm that did not record everything its numbers "
            f"depend on: out must be a new path (xarray still opens the old one)."
        )
    ours = json.loads(identity)
    differ = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
    changed = "code" in differ
    differ = [name for name in differ if name != "code"]
    if differ:
        if "axes" in differ:
            axes = [dict(sweep["axes"]) for sweep in (ours, theirs)]
            names = [n for n in {**axes[0], **axes[1]} if axes[0].get(n) != axes[1].get(n)]
            differ[differ.index("axes") : differ.index("axes") + 1] = names or ["order of the axes"]
        also = "; the code of qtm or JAX has changed since, too" if changed else ""
        raise ValueError(
            f"{path} belongs to another sweep, they differ in {', '.join(differ)}{also}: "
            f"out must be a new path, or this one after it is removed."
        )
    return theirs


def require_code(path: Path, stored: dict[str, Any], identity: str, half: bool) -> None:
    """Raise ValueError if `path` is partly computed by other code; warn if it is complete."""
    theirs, ours = stored["code"], json.loads(identity)["code"]
    if theirs == ours:
        return
    if theirs["jax"] != ours["jax"]:
        what = f"JAX has changed from {theirs['jax']} to {ours['jax']}"
    else:
        versions = f" from {theirs['qtm']} to {ours['qtm']}" if theirs["qtm"] != ours["qtm"] else ""
        what = f"the code of qtm has changed{versions}"
    if half:
        raise ValueError(
            f"{what} since {path} was begun: resume it with the code that began it, or give a new "
            f"path."
        )
    warnings.warn(f"{what} since {path} was computed: its numbers are unchanged", stacklevel=5)
