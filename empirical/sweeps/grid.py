"""Grids: the TOML files that define the chains of a sweep.

A grid is a recipe with two more tables. ``[sweep]`` maps dotted keys to lists of values; the chains
are the product of the lists. ``[[arms]]`` are changes of the recipe, entire tables if need be, with
a name, a ``sweep``, or both; every arm is crossed with ``[sweep]``::

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

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import product
from pathlib import Path
from typing import Any

from empirical import files, recipe_errors
from empirical import recipe as recipes
from empirical.errors import UserError
from empirical.keys import did_you_mean, flatten
from empirical.recipe import Recipe

_GRID_KEYS = ("sweep", "arms")
# Tables with a key that selects their settings: another kind replaces the entire table.
_KINDS = {f"{'.'.join(place)}": tag for place, (_, tag) in recipe_errors.TAGS.items()}
_LONGEST = 150


@dataclass(frozen=True)
class Grid:
    """The chains of a sweep by the name of their folder, and the text of the grid file."""

    text: str
    chains: dict[str, Recipe]


def read(path: Path) -> Grid:
    """Read and validate a grid file and its chains; raise `UserError` for the first mistake."""
    try:
        text = files.read_text(path)
    except FileNotFoundError:
        raise UserError(f"there is no grid '{path}'") from None
    except (OSError, UserError) as error:
        raise UserError(f"the grid '{path}' cannot be read as a text file: {error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"the grid '{path}' is not valid TOML: {error}") from error
    return Grid(text, parse(table, f"the grid '{path}'"))


def parse(table: dict[str, Any], what: str = "the grid") -> dict[str, Recipe]:
    """Return the recipes of a grid given as a dictionary, by name; `what` names it in errors."""
    _require_known_keys(table, _GRID_KEYS, what)
    base = _merged(
        _default_guidance(table), {k: v for k, v in table.items() if k not in _GRID_KEYS}
    )
    if "seeds" in table:
        raise UserError(f"{what} has the key 'seeds': write 'seed = [...]' in its table 'sweep'")
    shared = _axes(table.get("sweep", {}), f"the table 'sweep' of {what}")
    chains: dict[str, Recipe] = {}
    for arm in _arms(table.get("arms", [{}]), what):
        called = f"the arm '{arm['name']}' of {what}" if "name" in arm else what
        arm_axes = _axes(arm.get("sweep", {}), f"the table 'sweep' of {called}")
        twice = next((key for key in arm_axes if key in shared), None)
        if twice is not None:
            raise UserError(f"'{twice}' is swept by {called} and by the table 'sweep' of all")
        start = _merged(base, {k: v for k, v in arm.items() if k not in ("name", "sweep")})
        axes = {**arm_axes, **shared}
        for values in product(*axes.values()):
            point = dict(zip(axes, values, strict=True))
            name = _name(arm.get("name"), point)
            changed = reduce(_merged, (_nested(*item) for item in point.items()), start)
            _require_new_name(name, chains, what)
            chains[name] = recipes.parse(changed, f"the chain '{name}' of {what}")
    _require_distinct(chains, what)
    return chains


def _require_known_keys(table: Mapping[str, Any], extra: tuple[str, ...], what: str) -> None:
    allowed = [*Recipe.model_fields, *extra]
    for key in table:
        if key not in allowed and key != "seeds":
            raise UserError(f"{what} has the unknown key '{key}'{_hint(key, allowed)}")


def _arms(arms: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(arms, list) or not arms or not all(isinstance(arm, dict) for arm in arms):
        raise UserError(f"'arms' of {what} must be tables, each headed [[arms]]")
    if arms == [{}]:
        return arms
    for number, arm in enumerate(arms, start=1):
        if "name" not in arm and arm.get("sweep"):
            _require_known_keys(arm, ("name", "sweep"), f"arm {number} of {what}")
            continue
        name = arm.get("name")
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][\w.=+-]{0,60}", name):
            raise UserError(
                f"the name of arm {number} of {what} is {name!r}, it must begin with a letter or "
                f"digit and have up to 61 letters, digits and _ . = + -"
            )
        _require_known_keys(arm, ("name", "sweep"), f"the arm '{name}' of {what}")
    return arms


def _axes(table: Any, what: str) -> dict[str, list[Any]]:
    """Check the lists of a table `sweep`."""
    if not isinstance(table, dict):
        raise UserError(f"{what} is {table!r}, it must map keys to lists of values")
    # TOML reads dotted keys as tables unless they are quoted.
    axes = flatten(table)
    known = _known_keys()
    for key, values in axes.items():
        if key not in known:
            raise UserError(f"{what} has the unknown key '{key}'{_hint(key, known)}")
        if not isinstance(values, list) or not values:
            raise UserError(f"'{key}' in {what} is {values!r}, it must be a list of values")
        slugs = [_slug(value) for value in values]
        twice = next((text for text in slugs if slugs.count(text) > 1), None)
        if twice is not None:
            raise UserError(f"'{key}' in {what} has the value {twice} twice")
    return axes


def _known_keys() -> list[str]:
    """Return every dotted key that a recipe can have."""
    known = []
    for key, field in Recipe.model_fields.items():
        known.append(key)
        tables = getattr(field.annotation, "model_fields", {})
        known += [f"{key}.{name}" for name in tables]
    for place, (base, _) in recipe_errors.TAGS.items():
        names = {name for kind in base.__subclasses__() for name in kind.model_fields}
        known += [".".join((*place, name)) for name in sorted(names)]
    return known


def _hint(key: str, allowed: list[str]) -> str:
    question = did_you_mean(key, allowed)
    return f" ({question})" if question else f", allowed are {', '.join(allowed)}"


def _default_guidance(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the default guidance to change by keys, where the grid's recipe has none."""
    given = table.get("generate", {})
    if isinstance(given, dict) and "guidance" not in given:
        return {"generate": {"guidance": Recipe().generate.guidance.model_dump()}}
    return {}


def _nested(key: str, value: Any) -> dict[str, Any]:
    """Return the nested tables of a dotted key."""
    return reduce(lambda inner, name: {name: inner}, reversed(key.split(".")), value)


def _merged(old: Any, new: Any, place: str = "") -> Any:
    """Return nested tables updated by `new`; another kind replaces an entire table."""
    kind = _KINDS.get(place)
    if not isinstance(old, dict) or not isinstance(new, dict) or kind in new:
        return new
    below = f"{place}." if place else ""
    return old | {key: _merged(old.get(key), value, f"{below}{key}") for key, value in new.items()}


def _name(arm: str | None, point: Mapping[str, Any]) -> str:
    """Return a chain's name: its arm and values, reproducible and safe as a file name."""
    # The last two parts are enough: 'generate.guidance.scale' is 'guidance.scale'.
    settings = [f"{'.'.join(key.split('.')[-2:])}={_slug(value)}" for key, value in point.items()]
    name = ",".join([*([arm] if arm else []), *settings]) or "chain"
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}~{_digest(name)}"


def _slug(value: Any) -> str:
    """Return a value as part of a file name; different values give different texts."""
    if isinstance(value, dict):
        kind = next((key for key in _KINDS.values() if key in value), None)
        rest = [f"{k}={_slug(v)}" for k, v in value.items() if k != kind]
        return "+".join([*([_slug(value[kind])] if kind else []), *rest])
    if isinstance(value, list):
        return "+".join(_slug(item) for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    text = str(value)
    safe = re.sub(r"[^\w.-]", "-", text, flags=re.ASCII)
    return safe if safe == text and len(text) < 40 else f"{safe[-30:]}~{_digest(text)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _require_new_name(name: str, chains: Mapping[str, Recipe], what: str) -> None:
    # Some file systems ignore case.
    if name.casefold() in (other.casefold() for other in chains):
        raise UserError(f"{what} has two chains with the name '{name}'")


def _require_distinct(chains: Mapping[str, Recipe], what: str) -> None:
    """Raise `UserError` where two chains have the same recipe."""
    seen: dict[str, str] = {}
    for name, recipe in chains.items():
        same = seen.setdefault(recipes.dump(recipe), name)
        if same != name:
            raise UserError(f"the chains '{same}' and '{name}' of {what} have the same recipe")
