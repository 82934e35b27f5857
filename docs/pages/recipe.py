"""The reference of recipes, from the models that validate them."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import empirical
from empirical.guidance import every_rule
from empirical.recipe import Recipe, dump
from empirical.remedies import Remedy

from .text import cell, description, table

_FOLDER = Path(empirical.__file__).parent / "recipes"
_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
}
_LIMITS = {
    "exclusiveMinimum": "above",
    "minimum": "at least",
    "exclusiveMaximum": "below",
    "maximum": "at most",
}
_INTRODUCTION = """# Recipes

A recipe is a TOML file that defines a chain. Every key has a default, so that an empty file is a
recipe, of six generations of the embedded model on digits. Unknown keys and values are refused
before anything runs, with the key and the allowed values. `qtm chain run RECIPE --out RUN
--dry-run` prints the plan and its cost.

This page is generated from the models that validate recipes. [Images and captions](images.md) lists
the values of `data.name`. In a grid of chains each key may take several values:
[clusters](clusters.md).

## The complete recipe, with its defaults"""
_RULES = """## Guidance rules { #rules }

The value of `generate.guidance`: a table with the key `rule` and the keys of that rule. A scale of
1 is no guidance; scales below 1, also 0 and negative ones, are used literally in
e_u + w (e_c - e_u). A rule also works without a chain:
`empirical.generator.sampling.draw(pipeline, prompts, rule, seeds)`."""
_REMEDIES = """## Remedies { #remedies }

The table `[remedy]`: the key `name` and the keys of that remedy. By default there is none."""
_EXAMPLES = """## Recipes in the package

In the folder `empirical/recipes`:"""


def page() -> str:
    """Return the reference as Markdown."""
    root = Recipe.model_json_schema()
    tables, plain = {}, {}
    for name, entry in root["properties"].items():
        kind = root["$defs"].get(entry.get("$ref", "").rpartition("/")[2])
        if kind is not None:
            tables[name] = kind
        elif not _is_union(entry):
            plain[name] = entry
    parts = [
        _INTRODUCTION,
        f"```toml\n{dump(Recipe())}```",
        "## Keys outside of tables",
        keys(plain),
    ]
    for name, kind in tables.items():
        parts += [f"## `[{name}]` {{ #{name} }}", cell(kind["description"])]
        parts.append(keys(kind["properties"]))
    remedies = {_constant(kind, "name"): kind for kind in Remedy.__subclasses__()}
    parts += [_RULES, *_members("rule", every_rule())]
    parts += [_REMEDIES, *_members("name", dict(sorted(remedies.items())))]
    parts += [_EXAMPLES, table(["file", "chains"], _examples())]
    return "\n\n".join(parts) + "\n"


def keys(properties: Mapping[str, Any]) -> str:
    """Return a table of the properties of a JSON schema: key, default, allowed values, meaning.

    The column of meanings is left out where no property has a description.
    """
    rows = [
        (f"`{name}`", _default(entry), _allowed(entry), cell(entry.get("description", "")))
        for name, entry in properties.items()
    ]
    header = ("key", "default", "allowed", "meaning")
    width = 4 if any(row[3] for row in rows) else 3
    return table(header[:width], [row[:width] for row in rows])


def _members(tag: str, members: Mapping[str, type[BaseModel]]) -> Iterator[str]:
    for name, kind in members.items():
        yield f"### `{name}`"
        yield description(kind)
        properties = kind.model_json_schema()["properties"]
        others = {key: entry for key, entry in properties.items() if key != tag}
        if others:
            yield keys(others)


def _allowed(entry: Mapping[str, Any]) -> str:
    """Describe the values that an entry of a JSON schema allows."""
    if _is_union(entry):
        return "a [guidance rule](#rules)"
    if "anyOf" in entry:
        options = [option for option in entry["anyOf"] if option.get("type") != "null"]
        return ", or ".join(dict.fromkeys(map(_allowed, options)))
    if "const" in entry:
        return _value(entry["const"])
    if "enum" in entry:
        return ", ".join(map(_value, entry["enum"]))
    if entry["type"] == "array":
        kind, _, limits = _allowed(entry["items"]).partition(" ")
        plural = {"number": "numbers"}.get(kind, kind)
        return f"list of {plural} {limits}".strip()
    limits = [f"{word} {entry[key]:g}" for key, word in _LIMITS.items() if key in entry]
    return f"{_TYPES[entry['type']]} {' and '.join(limits)}".strip()


def _is_union(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is a table of one of several kinds, named by one of its keys."""
    return "oneOf" in entry or any(_is_union(option) for option in entry.get("anyOf", ()))


def _default(entry: Mapping[str, Any]) -> str:
    if "default" not in entry:
        return "as above" if _is_union(entry) else "required"
    return "none" if entry["default"] is None else _value(entry["default"])


def _value(value: Any) -> str:
    return f"`{json.dumps(value)}`"


def _constant(kind: type[BaseModel], key: str) -> str:
    return kind.model_json_schema()["properties"][key]["const"]


def _examples() -> Iterable[tuple[str, str]]:
    for path in sorted(_FOLDER.rglob("*.toml")):
        comment = []
        for line in path.read_text().splitlines():
            if not line.startswith("#"):
                break
            comment.append(line.removeprefix("#").strip())
        sentence = " ".join(comment).partition(". ")[0].rstrip(".")
        yield f"`{path.relative_to(_FOLDER).as_posix()}`", cell(sentence)
