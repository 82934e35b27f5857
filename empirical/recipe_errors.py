"""Errors of recipes, for people: a sentence for each wrong key or value."""

from typing import Any, get_args

from pydantic import BaseModel

from empirical.guidance import GuidanceRule
from empirical.keys import did_you_mean
from empirical.remedies import Remedy

# Tables of which one key says which class they are of.
TAGS = {("generate", "guidance"): (GuidanceRule, "rule"), ("remedy",): (Remedy, "name")}


def sentence(error: dict[str, Any], recipe: type[BaseModel]) -> str:
    """Turn an error of pydantic in a recipe into a sentence with key, value and the allowed
    values."""
    path = [str(part) for part in error["loc"]]
    # A member of a union puts its tag into the path, where no such key is in the file.
    member, tag = None, None
    for place, (base, key) in TAGS.items():
        if tuple(path[: len(place)]) == place:
            tag = key
            members = members_of(base, key)
            if len(path) > len(place) and path[len(place)] in members:
                member = members[path.pop(len(place))]
            names = list(members)
    key, value, context = ".".join(path), error.get("input"), error.get("ctx", {})
    match error["type"]:
        case "said":
            return error["msg"]
        case "extra_forbidden":
            allowed = list((member or _table_at(recipe, path[:-1])).model_fields)
            question = did_you_mean(path[-1], allowed)
            hint = f" ({question})" if question else ""
            return f"unknown key '{key}'{hint}, allowed are {_listed(allowed)}"
        case "missing":
            return f"the key '{key}' is missing"
        case "literal_error":
            return f"'{key}' is {value!r}, allowed are {context['expected']}"
        case "union_tag_invalid":
            return f"'{key}.{tag}' is {context['tag']!r}, allowed are {context['expected_tags']}"
        case "union_tag_not_found":
            return f"the key '{key}.{tag}' is missing, allowed are {_listed(names)}"
        case "greater_than":
            return f"'{key}' is {value!r}, it must be greater than {context['gt']:g}"
        case "greater_than_equal":
            return f"'{key}' is {value!r}, it must be at least {context['ge']:g}"
        case "less_than":
            return f"'{key}' is {value!r}, it must be less than {context['lt']:g}"
        case "less_than_equal":
            return f"'{key}' is {value!r}, it must be at most {context['le']:g}"
        case "too_short" | "string_too_short":
            return f"'{key}' is empty"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"'{key}' is {value!r}, it must be a table"
        case kind if kind.endswith("_type"):
            types = {
                "int": "a whole number", "float": "a number", "string": "a string",
                "bool": "true or false",
            }  # fmt: skip
            return f"'{key}' is {value!r}, it must be {types.get(kind[:-5], kind[:-5])}"
        case _:
            return f"'{key}' is {value!r}: {error['msg']}"


def members_of(base: type[BaseModel], key: str) -> dict[str, type[BaseModel]]:
    """Return the classes below `base` by their tag."""
    return {get_args(cls.model_fields[key].annotation)[0]: cls for cls in base.__subclasses__()}


def _table_at(recipe: type[BaseModel], path: list[str]) -> type[BaseModel]:
    table: Any = recipe
    for part in path:
        table = table.model_fields[part].annotation
    return table


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
