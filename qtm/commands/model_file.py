"""Model files: the TOML that defines a model, for ``qtm simulate`` and ``qtm sweep``."""

import codecs
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jax.random as jr
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

import qtm
from qtm.commands.forms import Maker, maker
from qtm.commands.values import Axis, collect, hint
from qtm.errors import UserError

Whole = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(gt=0)]
Table = dict[str, Any]


class ModelFile(BaseModel):
    """The keys of a model file. Each table names a `form` of qtm and gives its arguments."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    generations: Whole = 20
    seed: Whole | None = None
    replicates: Positive | None = None
    keep: Literal["last", "all"] = "last"
    size: Any = None
    state: Table = Field(default_factory=lambda: {"form": "Moments"})
    inheritance: Table = Field(default_factory=lambda: {"form": "Clonal"})
    selection: Table = Field(default_factory=lambda: {"form": "Neutral"})
    mutation: Table = Field(default_factory=lambda: {"form": "NoMutation"})

    @field_validator("size")
    @classmethod
    def _sizes(cls, value: Any) -> Any:
        for size in value if isinstance(value, list) else [value]:
            if size is not None and (type(size) is not int or size < 1):
                raise ValueError("a whole number of at least 1, or a list of them")
        return value


@dataclass(frozen=True)
class CycleOf:
    """The life cycle of one point of the grid."""

    parts: tuple[tuple[str, Maker], ...]
    size: Any

    def __call__(self, point: Mapping[str, Any]) -> qtm.LifeCycle:
        parts = {name: make(point) for name, make in self.parts}
        size = point[self.size.name] if isinstance(self.size, Axis) else self.size
        return qtm.LifeCycle(**parts, size=size)


@dataclass(frozen=True)
class StateOf:
    """Generation 0 of one point of the grid; individuals are drawn with the seed."""

    make: Maker
    seed: int

    def __call__(self, point: Mapping[str, Any]) -> Any:
        drawn = self.make.form.name == "Individuals"
        return self.make(point, **({"key": jr.key(self.seed)} if drawn else {}))


@dataclass(frozen=True)
class Model:
    """The content of a model file, ready for `qtm.sweep`."""

    file: ModelFile
    cycle_of: CycleOf
    state: Any
    axes: dict[str, Any]
    fixed: frozenset[str]

    @property
    def key(self) -> Any:
        """The key of all generations after 0; generation 0 has the key of the seed itself."""
        return None if self.file.seed is None else jr.fold_in(jr.key(self.file.seed), 0)


def read(path: Path) -> Table:
    """Read a TOML file, with a byte order mark or without; raise `UserError` if there is none."""
    try:
        content = path.read_bytes()
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return tomllib.loads(content.decode("utf-16" if wide else "utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"'{path}' is not valid TOML: {error}") from error
    except FileNotFoundError:
        raise UserError(f"there is no file '{path}'") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' cannot be read as a text file: {error}") from error


def parse(table: Table, what: str) -> Model:
    """Validate a model file given as a dictionary; `what` names it in the error."""
    try:
        file = ModelFile.model_validate(table)
    except ValidationError as error:
        wrong = "; ".join(_sentence(dict(item)) for item in error.errors())
        raise UserError(f"{what} is wrong: {wrong}") from None
    if file.seed is None and file.replicates is not None:
        raise UserError(
            f"{what} is wrong: the key 'seed' is missing, without it replicates are equal"
        )
    axes: dict[str, Any] = {}
    fixed = {"size"} if isinstance(file.size, list) else set()
    try:
        parts = tuple(
            (part, maker(part, getattr(file, part), axes, fixed))
            for part in ("inheritance", "selection", "mutation")
        )
        cycle_of = CycleOf(parts, collect("size", file.size, axes))
        before = set(axes)
        state = StateOf(maker("state", file.state, axes, fixed), file.seed or 0)
        if file.seed is None and state.make.form.name == "Individuals":
            raise UserError("the key 'seed' is missing: individuals are drawn at random")
        first = {name: values[0] for name, values in axes.items()}
        state(first)
        # A wrong value is reported now: in a sweep, numbers are traced and not validated.
        for name, values in axes.items():
            each = values if name in fixed or isinstance(values[0], str) else [np.asarray(values)]
            for value in each:
                cycle_of({**first, name: value})
        cycle_of(first)
    except UserError as error:
        raise UserError(f"{what} is wrong: {error}") from None
    except ValueError as error:
        raise UserError(f"{what} is wrong: {str(error).rstrip('.')}") from None
    return Model(file, cycle_of, state if set(axes) > before else state({}), axes, frozenset(fixed))


def _sentence(error: Mapping[str, Any]) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        allowed = list(ModelFile.model_fields)
        near = hint(key, {name: name for name in allowed})
        return f"unknown key '{key}'{near}, allowed are {', '.join(allowed)}"
    message = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"'{key}' is {error.get('input')!r}, it must be {message}"
