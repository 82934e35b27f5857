"""Extractors: deep features of images, for measures and as traits.

An extractor is one file here with a default, ``WEIGHTS``, and one function, ``load(weights,
offline)``, which returns an object with `images` and `texts` (see `Extractor`). Its name is the
file's. Its requirements are imported when it is loaded; one sentence names those missing.
Files whose names start with an underscore are shared by several.
"""

import importlib
import pkgutil
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from empirical.errors import UserError


class Extractor(Protocol):
    """A map from images to features, mostly a network."""

    def images(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Return features [n, d] of images [n, height, width, channels] (uint8), each alone."""
        ...

    def texts(self, captions: Sequence[str]) -> Float[np.ndarray, "n d"] | None:
        """Return features [n, d] of captions in the same space; None where there are none."""
        ...


def every_extractor() -> Mapping[str, ModuleType]:
    """Return each extractor's file by name, found by listing this package."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    public = (name for name in names if not name.startswith("_"))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in public}


def split(name: str) -> tuple[str, str | None]:
    """Split ``clip:WEIGHTS`` into extractor and weights; None without a colon."""
    kind, colon, weights = name.partition(":")
    if colon and not weights:
        raise UserError(f"'{name}' names no weights after the colon: a folder or a hub id")
    return kind, weights if colon else None


def stored_as(name: str) -> str:
    """Return the name that an extractor's features have as a trait.

    With the default weights it is the extractor's name; else the last part of the weights' path
    is appended: the features of ``clip:some/where/vit-b`` are ``clip-vit-b``.
    """
    kind, weights = split(name)
    if weights is None:
        return kind
    return f"{kind}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', Path(weights).name)}"


def load(name: str, offline: bool = False) -> Extractor:
    """Load an extractor by name, ``clip``, or with other weights, ``clip:FOLDER_OR_HUB_ID``.

    With `offline` nothing is downloaded. Raises `UserError` that names the package or weights to
    install or download where something is missing.
    """
    kind, weights = split(name)
    known = every_extractor()
    if kind not in known:
        raise UserError(f"there is no extractor '{kind}', known are {', '.join(known)}")
    try:
        return known[kind].load(weights or known[kind].WEIGHTS, offline)
    except ModuleNotFoundError as error:
        raise UserError(
            f"the extractor '{kind}' needs '{error.name}': pip install 'diffusion-qtm[chain]'"
        ) from error
