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


def did_you_mean(key: str, known: Iterable[str], count: int = 1) -> str | None:
    """Return a question that suggests up to `count` known keys, or None where none is near.

    Dotted keys that end with `key` come before those that are spelt most like it.
    """
    known = list(known)
    near = [name for name in known if name.endswith(f".{key}")][:count]
    near = near or difflib.get_close_matches(key, known, n=count, cutoff=0.5)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else None
