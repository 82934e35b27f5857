"""Recipes: the TOML files that say what a chain does, validated before anything runs."""

import difflib
import tomllib
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from empirical.errors import UserError
from empirical.guidance import GuidanceRule

Positive = Annotated[int, Field(gt=0)]

# Every rule is a member, told apart by its key `rule`.
Guidance = Annotated[
    reduce(lambda a, b: Union[a, b], GuidanceRule.__subclasses__()),  # noqa: UP007
    Field(discriminator="rule"),
]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ModelTable(_Table):
    """Which model: an embedded one, a folder of a diffusers pipeline, or a hub id."""

    name: Annotated[str, Field(min_length=1)] = "digits"


class DataTable(_Table):
    """Which real images are generation 0: an embedded set or a folder, and how many of them."""

    name: Annotated[str, Field(min_length=1)] = "digits"
    size: Annotated[int, Field(ge=2)] = 500


class FinetuneTable(_Table):
    """How a generation learns from the images of the one before."""

    rank: Positive = 8
    steps: Positive = 200
    batch_size: Positive = 64
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    start_from: Literal["base", "previous"] = "base"
    training_set: Literal["replace"] = "replace"
    condition_drop: Annotated[float, Field(ge=0, le=1)] = 0.0


class GenerateTable(_Table):
    """How a generation draws its images."""

    guidance: Guidance = Field(  # type: ignore[valid-type]
        default_factory=lambda: {"rule": "constant", "scale": 7.5}, validate_default=True
    )
    sampler: Literal["ddim", "ddpm", "dpm++", "euler", "euler_ancestral", "heun", "unipc"] = "ddim"
    steps: Positive = 20
    batch_size: Positive = 250


class Recipe(_Table):
    """A chain, whole. Missing tables and keys take the defaults of their fields."""

    generations: Positive = 6
    seed: Annotated[int, Field(ge=0)] = 0
    model: ModelTable = ModelTable()
    data: DataTable = DataTable()
    finetune: FinetuneTable = FinetuneTable()
    generate: GenerateTable = Field(default_factory=GenerateTable)


def read(path: Path) -> Recipe:
    """Read and validate a recipe file; raise `UserError` that names every wrong key and value."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"there is no recipe '{path}'") from None
    except (IsADirectoryError, PermissionError, UnicodeDecodeError) as error:
        raise UserError(f"the recipe '{path}' cannot be read as a text file: {error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"the recipe '{path}' is not valid TOML: {error}") from error
    return parse(table, f"the recipe '{path}'")


def parse(table: dict[str, Any], what: str = "the recipe") -> Recipe:
    """Validate a recipe given as a dictionary; `what` names it in the error."""
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        wrong = "; ".join(_sentence(dict(item)) for item in error.errors())
        raise UserError(f"{what} is wrong: {wrong}") from None


def dump(recipe: Recipe) -> str:
    """Write a recipe as TOML with every key said, so that defaults may change and runs do not."""
    return tomli_w.dumps(recipe.model_dump())


def _sentence(error: dict[str, Any]) -> str:
    """Turn a complaint of pydantic into a sentence with key, value and what is allowed."""
    path = [str(part) for part in error["loc"]]
    rules = {rule.model_fields["rule"].annotation: rule for rule in GuidanceRule.__subclasses__()}
    names = {get_args(annotation)[0]: rule for annotation, rule in rules.items()}
    # A member of the union puts its tag into the path, where no such key is in the file.
    rule = None
    if path[:2] == ["generate", "guidance"] and len(path) > 2 and path[2] in names:
        rule = names[path.pop(2)]
    key, value, context = ".".join(path), error.get("input"), error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            allowed = list((rule or _table_at(path[:-1])).model_fields)
            near = difflib.get_close_matches(path[-1], allowed, n=1, cutoff=0.5)
            hint = f" (did you mean '{near[0]}'?)" if near else ""
            return f"unknown key '{key}'{hint}, allowed are {_listed(allowed)}"
        case "missing":
            return f"the key '{key}' is missing"
        case "literal_error":
            return f"'{key}' is {value!r}, allowed are {context['expected']}"
        case "union_tag_invalid":
            return f"'{key}.rule' is {context['tag']!r}, allowed are {context['expected_tags']}"
        case "union_tag_not_found":
            return f"the key '{key}.rule' is missing, allowed are {_listed(list(names))}"
        case "greater_than":
            return f"'{key}' is {value!r}, it must be greater than {context['gt']:g}"
        case "greater_than_equal":
            return f"'{key}' is {value!r}, it must be at least {context['ge']:g}"
        case "less_than_equal":
            return f"'{key}' is {value!r}, it must be at most {context['le']:g}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"'{key}' is {value!r}, it must be a table"
        case kind if kind.endswith("_type"):
            wanted = {"int": "a whole number", "float": "a number", "string": "a string"}
            return f"'{key}' is {value!r}, it must be {wanted.get(kind[:-5], kind[:-5])}"
        case _:
            return f"'{key}' is {value!r}: {error['msg']}"


def _table_at(path: list[str]) -> type[BaseModel]:
    table: Any = Recipe
    for part in path:
        table = table.model_fields[part].annotation
    return table


def _listed(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
