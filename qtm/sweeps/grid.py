"""A grid of parameters, and its split into tasks."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from qtm._core.numerics import require_integer

_RESERVED = ("replicate", "generation", "mean", "variance", "within", "between", "finished")

Region = tuple[slice, ...]
"""A box of a grid, one slice for each dimension."""


@dataclass(frozen=True)
class Grid:
    """Named axes and their values, numbered in C order, the last axis fastest.

    Values of the axes named in `fixed` reach the life cycle unchanged; each combination of them
    has a separate program. All others are float64.
    """

    axes: dict[str, Shaped[np.ndarray, "_"]]
    fixed: frozenset[str]
    replicates: int | None

    @classmethod
    def of(
        cls, values: Mapping[str, Any], fixed: Collection[str], replicates: int | None
    ) -> "Grid":
        """Make a grid from validated values; raise ValueError that names the axis."""
        axes = {name: _axis(name, value) for name, value in values.items()}
        unknown = set(fixed) - set(axes)
        if unknown:
            raise ValueError(f"fixed must name axes of the grid, got {sorted(unknown)[0]!r}.")
        if replicates is not None:
            replicates = require_integer("replicates", replicates, least=1)
        texts = {name for name, value in axes.items() if value.dtype.kind not in "iufb"}
        fixed = frozenset(fixed) | texts
        axes = {k: v if k in fixed else v.astype(np.float64) for k, v in axes.items()}
        return cls(axes, fixed, replicates)

    @property
    def dims(self) -> tuple[str, ...]:
        return (*self.axes, *(["replicate"] if self.replicates is not None else []))

    @property
    def shape(self) -> tuple[int, ...]:
        sizes = tuple(len(values) for values in self.axes.values())
        return sizes if self.replicates is None else (*sizes, self.replicates)

    def pieces(self, most: int) -> tuple[int, ...]:
        """Return the shape of a task of at most `most` populations, full in the last dimensions."""
        shape, room = [], max(most, 1)
        for name, size in reversed(list(zip(self.dims, self.shape, strict=True))):
            part = 1 if name in self.fixed else min(size, room)
            shape.insert(0, part)
            room = room // part if part == size or name in self.fixed else 1
        return tuple(shape)

    def tasks(self, pieces: tuple[int, ...]) -> list[Region]:
        """Return all boxes of that shape, smaller at the end."""
        sides = [
            [slice(start, min(start + part, size)) for start in range(0, size, part)]
            for size, part in zip(self.shape, pieces, strict=True)
        ]
        return list(product(*sides))

    def fixed_at(self, region: Region) -> dict[str, Any]:
        """Return the values of the fixed axes in a box, which has one of each."""
        return {
            name: self.axes[name][side].tolist()[0]
            for name, side in zip(self.dims, region, strict=True)
            if name in self.fixed
        }

    def sets(
        self, region: Region
    ) -> tuple[dict[str, Shaped[np.ndarray, " populations"]], Int[np.ndarray, "populations k"]]:
        """Return parameters `[populations]` by name, and the numbers for each key.

        The numbers are `[populations, 1]`, that of the set in the grid, or `[populations, 2]` with
        the replicate first.
        """
        sides = [np.arange(side.start, side.stop) for side in region]
        places = [x.ravel() for x in np.meshgrid(*sides, indexing="ij", copy=False)]
        sizes = [len(values) for values in self.axes.values()]
        parameters = {
            name: values[place]
            for (name, values), place in zip(self.axes.items(), places, strict=False)
            if name not in self.fixed
        }
        count = math.prod(len(side) for side in sides)
        number = np.zeros(count, np.int64)
        if sizes:
            number[:] = np.ravel_multi_index(tuple(places[: len(sizes)]), sizes)
        numbers = [number] if self.replicates is None else [places[-1], number]
        return parameters, np.stack(numbers, axis=-1)

    def __iter__(self) -> Iterator[tuple[str, Shaped[np.ndarray, "_"]]]:
        return iter(self.axes.items())


def count(region: Region) -> int:
    """Return the number of populations in a box."""
    return math.prod(side.stop - side.start for side in region)


def _axis(name: str, value: Any) -> Shaped[np.ndarray, " n"]:
    values = np.asarray(value)
    if not name.isidentifier() or name in _RESERVED:
        raise ValueError(
            f"a name in the grid must be an identifier other than {', '.join(_RESERVED)}, "
            f"got {name!r}."
        )
    if values.ndim != 1 or len(values) == 0 or values.dtype.kind not in "iufbUT":
        raise ValueError(f"{name} must be a list of at least 1 number or text, got {value!r}.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite, got {values[~np.isfinite(values)][0]}.")
    # Bytes of variable-length texts are addresses; those of NumPy's older kind are the texts.
    return values.astype(str) if values.dtype.kind == "T" else values
