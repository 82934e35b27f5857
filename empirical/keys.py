"""Keys of nested tables: flattened into one, and the known key nearest to an unknown one."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


def flatten(table: Mapping[str, Any], separator: str = ".", above: str = "") -> dict[str, Any]:
    """Return nested tables as one: ``{"a": {"b": 1}}`` becomes ``{"a.b": 1}``."""
    flat = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, separator, f"{above}{key}{separator}")
        else:
            flat[f"{above}{key}"] = value
    return flat


def nearest(key: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Return the known keys that are spelt most like `key`, at most `count`, the nearest first."""
    return difflib.get_close_matches(key, list(known), n=count, cutoff=0.5)


def did_you_mean(key: str, known: Iterable[str]) -> str | None:
    """Return a question that suggests the nearest known key, or None where none is near."""
    near = nearest(key, known)
    return f"did you mean '{near[0]}'?" if near else None
