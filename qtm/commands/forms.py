"""Forms of selection, mutation, inheritance and populations, made from text.

A form is given as a table, in TOML or in one line: ``Truncation fraction=0.2``.
"""

import inspect
import re
import tomllib
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import qtm
from qtm.commands.values import collect, hint, placed
from qtm.errors import UserError
from qtm.inheritance import Inheritance
from qtm.mutation import Mutation
from qtm.selection import Selection
from qtm.states import State

_BASES = {
    "selection": Selection,
    "mutation": Mutation,
    "inheritance": Inheritance,
    "state": typing.get_args(State),
}
PARTS = tuple(_BASES)


@dataclass(frozen=True)
class Form:
    """A class of qtm, its constructor, and the parameters of that."""

    part: str
    name: str
    make: Callable[..., Any]
    keys: tuple[str, ...]
    required: tuple[str, ...]
    untraced: frozenset[str]  # parameters that JAX cannot trace
    summary: str


def forms(part: str) -> dict[str, Form]:
    """Return all forms of a part that text can make, by name: those of functions are left out."""
    known = {}
    for name in qtm.__all__:
        value = getattr(qtm, name)
        if inspect.isclass(value) and issubclass(value, _BASES[part]):
            form = _form(part, value)
            if form is not None:
                known[name] = form
    return known


def _form(part: str, cls: type) -> Form | None:
    make = getattr(cls, "normal", cls)
    parameters = [p for p in inspect.signature(make).parameters.values() if p.name != "key"]
    fields = getattr(cls, "__dataclass_fields__", {})
    static = {name for name, field in fields.items() if field.metadata.get("static")}
    integers = {p.name for p in parameters if str(p.annotation).startswith(("int", "<class 'int'"))}
    required = tuple(p.name for p in parameters if p.default is inspect.Parameter.empty)
    # text makes no function; a parameter that may be one, a schedule, may also be a number
    functions = ("Callable", "collections.abc.Callable", "typing.Callable")
    if any(str(p.annotation).startswith(functions) for p in parameters):
        return None
    keys = tuple(p.name for p in parameters)
    summary = (inspect.getdoc(cls) or "").partition("\n")[0]
    return Form(part, cls.__name__, make, keys, required, frozenset(static | integers), summary)


def named(part: str, name: Any) -> Form:
    """Return the form of that name; case and underscores do not matter.

    `package.module:Class` names a form that another package defines.
    """
    if ":" in str(name):
        return _elsewhere(part, str(name))
    known = forms(part)
    plain = {key.lower(): form for key, form in known.items()}
    form = plain.get(str(name).replace("_", "").lower())
    if form is None:
        near = hint(str(name).lower(), {key: known_form.name for key, known_form in plain.items()})
        raise UserError(f"there is no {part} '{name}'{near}, there are {', '.join(known)}")
    return form


def _elsewhere(part: str, name: str) -> Form:
    module, _, attribute = name.partition(":")
    try:
        cls = getattr(import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"the {part} '{name}' cannot be imported: {error}") from None
    form = _form(part, cls) if inspect.isclass(cls) and issubclass(cls, _BASES[part]) else None
    if form is None:
        raise UserError(f"'{name}' is no {part} that a line of text can make")
    return form


def table_of(part: str, line: str) -> dict[str, Any]:
    """Parse ``Truncation fraction=0.2`` to a table."""
    # a blank within braces, brackets or quotes does not end a word
    words = re.findall(r"(?:\{[^}]*\}|\[[^\]]*\]|\"[^\"]*\"|\S)+", line)
    if not words:
        raise UserError(f"--{part} is empty, it must be a name such as those of 'qtm forms'")
    table: dict[str, Any] = {"form": words[0]}
    for word in words[1:]:
        key, equal, value = word.partition("=")
        if not equal or not key.isidentifier():
            raise UserError(f"in --{part} '{line}' the word '{word}' must be key=value")
        try:
            table[key] = tomllib.loads(f"x = {value}")["x"]
        except tomllib.TOMLDecodeError:
            table[key] = value
    return table


@dataclass(frozen=True)
class Maker:
    """A form and its values, a function of one point of a grid. Hashable, so JAX compiles once."""

    form: Form
    values: tuple[tuple[str, Any], ...]

    def __call__(self, point: Mapping[str, Any], **more: Any) -> Any:
        keys = {key: placed(value, point) for key, value in self.values}
        try:
            return self.form.make(**keys, **more)
        except (AttributeError, TypeError) as error:
            arguments = ", ".join(f"{key} = {value!r}" for key, value in keys.items())
            raise UserError(f"{self.form.name} cannot be made of {arguments}: {error}") from None


def maker(part: str, table: Mapping[str, Any], axes: dict[str, Any], fixed: set[str]) -> Maker:
    """Return the maker of the form in a table; its axes are added to `axes`, and to `fixed`."""
    form = named(part, table.get("form", "moments" if part == "state" else None))
    values = {key: value for key, value in table.items() if key != "form"}
    if part == "state":
        values = {"mean": 0.0, "variance": 1.0} | values
    for key in values:
        if key not in form.keys:
            near = hint(key, {known: known for known in form.keys})
            allowed = ", ".join(form.keys) or "none"
            raise UserError(f"{form.name} has no '{key}'{near}, its keys are {allowed}")
    for key in form.required:
        if key not in values:
            raise UserError(f"{form.name} needs the key '{key}'")
    collected = []
    for key, value in values.items():
        name = f"{part}_{key}"
        texts = isinstance(value, str) or (isinstance(value, list) and str in map(type, value))
        if texts and key not in form.untraced:
            raise UserError(f"{form.name} has {key} = {value!r}, it must be a number")
        collected.append((key, collect(name, value, axes)))
        if key in form.untraced:
            fixed.update(axis for axis in axes if axis == name)
    return Maker(form, tuple(collected))
