"""The settings of a classifier, which are read without torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from empirical import files
from empirical.errors import UserError

FILE = "config.json"


def read(folder: Path) -> dict[str, Any]:
    """Return a classifier's settings: the captions of its classes, channels and widths of its
    layers, and the families of further captions. Raises `UserError` where they are damaged."""
    config = files.read_json(folder / FILE)
    if not isinstance(config, dict) or not {"captions", "channels", "widths"} <= set(config):
        raise UserError(f"'{folder}' holds no classifier of images: remove it")
    return config


def families(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the family of every caption that a classifier knows; classes are their own."""
    classes = {caption: caption for caption in config["captions"]}
    return {**config.get("families", {}), **classes}
