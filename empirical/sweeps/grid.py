"""Grids: the TOML files that say which chains a sweep has.

A grid is a recipe with two more tables. ``[sweep]`` maps dotted keys to lists of values; the chains
are the product of the lists. ``[[arms]]`` are named changes of the recipe, whole tables if need be,
each with a ``sweep`` of its own if it likes; every arm is crossed with ``[sweep]``::

    generations = 6

    [sweep]
    seed = [0, 1]

    [[arms]]
    name = "baseline"
    sweep = { "generate.guidance.scale" = [1.0, 7.5] }

    [[arms]]
    name = "drop"
    remedy = { name = "condition_drop", probability = 0.2 }

has six chains, ``baseline,guidance.scale=1,seed=0`` to ``drop,seed=1``.
"""

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from empirical import recipe as recipes
from empirical.errors import UserError
from empirical.recipe import Recipe

_OWN = ("sweep", "arms")
# Tables with a key that says which settings they have: another kind replaces the whole table.
_KINDS = {f"{'.'.join(place)}": tag for place, (_, tag) in recipes.TAGS.items()}
_LONGEST = 150


@dataclass(frozen=True)
class Grid:
    """The chains of a sweep by name, each name that of its folder, and the text they come from."""

    text: str
    chains: dict[str, Recipe]


def read(path: Path) -> Grid:
    """Read and validate a grid file, every chain of it; raise `UserError` for the first mistake."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no grid '{path}'") from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise UserError(f"the grid '{path}' cannot be read as a text file: {error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"the grid '{path}' is not valid TOML: {error}") from error
    return Grid(text, parse(table, f"the grid '{path}'"))


def parse(table: dict[str, Any], what: str = "the grid") -> dict[str, Recipe]:
    """Return the recipes of a grid given as a dictionary, by name; `what` names it in errors."""
    _must_know(table, _OWN, what)
    base = {key: value for key, value in table.items() if key not in _OWN}
    if "seeds" in table:
        raise UserError(f"{what} has the key 'seeds': write 'seed = [...]' in its table 'sweep'")
    shared = _axes(table.get("sweep", {}), f"the table 'sweep' of {what}")
    chains: dict[str, Recipe] = {}
    for arm in _arms(table.get("arms", [{}]), what):
        called = f"the arm '{arm['name']}' of {what}" if "name" in arm else what
        own = _axes(arm.get("sweep", {}), f"the table 'sweep' of {called}")
        twice = next((key for key in own if key in shared), None)
        if twice is not None:
            raise UserError(f"'{twice}' is swept by {called} and by the table 'sweep' of all")
        start = deepcopy(base)
        for key, value in arm.items():
            if key not in ("name", "sweep"):
                _put(start, (key,), value, called)
        axes = {**own, **shared}
        for values in product(*axes.values()):
            point = dict(zip(axes, values, strict=True))
            name = _name(arm.get("name"), point)
            changed = deepcopy(start)
            for key, value in point.items():
                _put(changed, tuple(key.split(".")), value, called)
            _must_be_new(name, chains, what)
            chains[name] = recipes.parse(changed, f"the chain '{name}' of {what}")
    _must_differ(chains, what)
    return chains


def _must_know(table: Mapping[str, Any], own: tuple[str, ...], what: str) -> None:
    allowed = [*Recipe.model_fields, *own]
    for key in table:
        if key not in allowed and key != "seeds":
            raise UserError(f"{what} has the unknown key '{key}'{_hint(key, allowed)}")


def _arms(arms: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(arms, list) or not arms or not all(isinstance(arm, dict) for arm in arms):
        raise UserError(f"'arms' of {what} must be tables, each headed [[arms]]")
    if arms == [{}]:
        return arms
    for number, arm in enumerate(arms, start=1):
        name = arm.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.=+-]{0,60}", name):
            raise UserError(
                f"the name of arm {number} of {what} is {name!r}, it must begin with a letter or "
                f"digit and have up to 61 letters, digits and _ . = + -"
            )
        _must_know(arm, ("name", "sweep"), f"the arm '{name}' of {what}")
    return arms


def _axes(table: Any, what: str) -> dict[str, list[Any]]:
    """Check the lists of a table `sweep`."""
    if not isinstance(table, dict):
        raise UserError(f"{what} is {table!r}, it must map keys to lists of values")
    axes = dict(_flat(table))
    known = _known_keys()
    for key, values in axes.items():
        if key not in known:
            raise UserError(f"{what} has the unknown key '{key}'{_hint(key, known)}")
        if not isinstance(values, list) or not values:
            raise UserError(f"'{key}' in {what} is {values!r}, it must be a list of values")
        said = [_slug(value) for value in values]
        twice = next((text for text in said if said.count(text) > 1), None)
        if twice is not None:
            raise UserError(f"'{key}' in {what} has the value {twice} twice")
    return axes


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys: TOML reads them as tables unless they are quoted."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _known_keys() -> list[str]:
    """Return every dotted key that some recipe has."""
    known = []
    for key, field in Recipe.model_fields.items():
        known.append(key)
        tables = getattr(field.annotation, "model_fields", {})
        known += [f"{key}.{name}" for name in tables]
    for place, (base, _) in recipes.TAGS.items():
        names = {name for kind in base.__subclasses__() for name in kind.model_fields}
        known += [".".join((*place, name)) for name in sorted(names)]
    return known


def _hint(key: str, allowed: list[str]) -> str:
    ends = [name for name in allowed if name.endswith(f".{key}")]
    near = ends or difflib.get_close_matches(key, allowed, n=1, cutoff=0.5)
    return f" (did you mean '{near[0]}'?)" if near else f", allowed are {', '.join(allowed)}"


def _put(table: dict[str, Any], path: tuple[str, ...], value: Any, what: str) -> None:
    """Set a key of nested tables; tables are merged, unless the new one is of another kind."""
    for depth, key in enumerate(path[:-1], start=1):
        if not isinstance(table, dict):
            raise UserError(f"'{'.'.join(path[: depth - 1])}' of {what} must be a table")
        table = table.setdefault(key, {})
    if not isinstance(table, dict):
        raise UserError(f"'{'.'.join(path[:-1])}' of {what} must be a table")
    old, whole = table.get(path[-1]), _KINDS.get(".".join(path))
    if isinstance(value, dict) and isinstance(old, dict) and (whole is None or whole not in value):
        for key, item in value.items():
            _put(table, (*path[:0], path[-1], key), item, what) if False else _merge(
                table[path[-1]], ".".join(path), key, item, what
            )
    else:
        table[path[-1]] = deepcopy(value)


def _merge(*_: Any) -> None: ...
