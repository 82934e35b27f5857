"""The values of a model file: numbers, texts, tables, and the axes of a grid.

A value is a number, a text, ``{mean = 0, variance = 1.3}`` where a form takes moments, or
``{start = 0, slope = 0.1}``, start + slope t in generation t. In a grid a list is an axis, and so
is ``{from = 1, to = 50, count = 100, spacing = "log"}``.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Real, Shaped

import qtm
from qtm.errors import UserError


def hint(key: str, known: Mapping[str, str]) -> str:
    """Return the question whether the known key most like `key` is meant, else nothing.

    `known` maps keys to the names that are shown.
    """
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f" (did you mean '{known[near[0]]}'?)" if near else ""


class Line(eqx.Module):
    """The schedule start + slope t."""

    start: Float[Array, "..."] | float
    slope: Float[Array, "..."] | float

    def __call__(self, t: Real[Array, ""]) -> Float[Array, "..."]:
        return self.start + self.slope * t


_TABLES: dict[frozenset[str], Callable[..., Any]] = {
    frozenset({"mean", "variance"}): lambda **keys: qtm.Moments(**keys),
    frozenset({"start", "slope"}): Line,
}
_RANGE = {"from", "to", "count", "spacing"}


@dataclass(frozen=True)
class Axis:
    """A placeholder for a value of an axis of a grid."""

    name: str


def collect(name: str, value: Any, axes: dict[str, Any]) -> Any:
    """Return `value` with its axes moved to `axes` and an `Axis` in place of each."""
    if isinstance(value, list):
        numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in value)
        if not value or not (numbers or all(isinstance(x, str) for x in value)):
            raise UserError(
                f"'{name}' is {value!r}, a list must have one or more numbers, or texts"
            )
        axes[name] = value
        return Axis(name)
    if not isinstance(value, dict):
        return value
    if {"from", "to", "count"} <= set(value) <= _RANGE:
        axes[name] = _range(name, **{f"{key}_": part for key, part in value.items()})
        return Axis(name)
    make = _TABLES.get(frozenset(value))
    if make is None:
        raise UserError(
            f"'{name}' has the keys {', '.join(value) or 'none'}, a table must have mean and "
            f"variance, start and slope, or from, to, count and optionally spacing"
        )
    return make, tuple((key, collect(f"{name}_{key}", part, axes)) for key, part in value.items())


def placed(value: Any, point: Mapping[str, Any]) -> Any:
    if isinstance(value, Axis):
        return point[value.name]
    if isinstance(value, tuple):
        make, parts = value
        return make(**{key: placed(part, point) for key, part in parts})
    return value


def _range(
    name: str, from_: Any, to_: Any, count_: Any, spacing_: Any = "linear"
) -> Shaped[np.ndarray, " n"]:
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (from_, to_))
    if not numbers or not isinstance(count_, int) or count_ < 1:
        raise UserError(f"'{name}' must go from a number to a number in a count of at least 1")
    if spacing_ == "linear":
        return np.linspace(from_, to_, count_)
    if spacing_ != "log":
        raise UserError(f"'{name}.spacing' is {spacing_!r}, allowed are 'linear', 'log'")
    if min(from_, to_) <= 0:
        raise UserError(f"'{name}' must go from and to numbers greater than 0 with spacing \"log\"")
    return np.geomspace(from_, to_, count_)
