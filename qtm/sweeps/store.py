"""The results of a sweep: in memory, or in a Zarr store that records the finished tasks."""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import xarray as xr
import zarr
from jaxtyping import Float, Shaped

from qtm.sweeps.claim import claim
from qtm.sweeps.grid import Region
from qtm.sweeps.identity import require_code, require_same

# The array of finished tasks in a store, and the attribute that names an array's dimensions.
_FINISHED = "sweep/finished"
_DIMENSIONS = "_ARRAY_DIMENSIONS"


@dataclass(frozen=True)
class Layout:
    """The arrays of a sweep: names and sizes of the dimensions, chunks, names of the variables,
    coordinates by name (their dimension, values and attributes), and the identity of the sweep,
    as JSON."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    names: tuple[str, ...]
    coords: dict[str, tuple[str, Shaped[np.ndarray, "_"], dict[str, Any]]]
    identity: str


VARIABLES: dict[str, dict[str, Any]] = {
    "mean": {"long_name": "mean of the trait", "units": "feature units"},
    "variance": {"long_name": "variance of the trait", "units": "feature units squared"},
    "within": {"long_name": "variance within families", "units": "feature units squared"},
    "between": {"long_name": "variance between families", "units": "feature units squared"},
}


class Store(Protocol):
    """A destination for the results of tasks."""

    def missing(self, tasks: int) -> list[int]:
        """Return the numbers of the unfinished tasks."""
        ...

    def write(
        self, number: int, region: Region, results: tuple[Float[np.ndarray, "*record"], ...]
    ) -> None: ...

    def finish(self) -> xr.Dataset:
        """Return the data set once no task is missing."""
        ...


class Memory:
    """Arrays in memory."""

    def __init__(self, layout: Layout):
        self._layout = layout
        self._arrays = {name: np.empty(layout.shape) for name in layout.names}

    def missing(self, tasks: int) -> list[int]:
        return list(range(tasks))

    def write(
        self, number: int, region: Region, results: tuple[Float[np.ndarray, "*record"], ...]
    ) -> None:
        for array, result in zip(self._arrays.values(), results, strict=True):
            array[region] = result

    def finish(self) -> xr.Dataset:
        dims = self._layout.dims
        arrays = {name: (dims, array, VARIABLES[name]) for name, array in self._arrays.items()}
        return xr.Dataset(arrays, self._layout.coords, {"sweep": self._layout.identity})


class ZarrStore:
    """A Zarr store of one chunk a task; its array `sweep/finished` marks the finished ones.

    A task is marked after its last byte is written, so the task of a killed sweep is written again.
    The store has Zarr format 2, whose metadata, texts and booleans every reader supports.

    Raises ValueError if `path` holds something else, or another sweep.
    """

    def __init__(self, path: Path, layout: Layout):
        self._path = path
        if not path.exists():
            part = path.with_name(f".{path.name}.new")
            shutil.rmtree(part, ignore_errors=True)
            _create(part, layout)
            part.rename(path)
        try:
            group = zarr.open_group(path, mode="r+")
        except (FileNotFoundError, NotADirectoryError):
            raise ValueError(f"{path} must be the store of a sweep, it is not.") from None
        self._identity = require_same(path, group.attrs.get("sweep"), layout.identity)
        self._arrays = [cast(zarr.Array, group[name]) for name in layout.names]
        self._finished = cast(zarr.Array, group[_FINISHED])
        require_code(
            path, self._identity, layout.identity, bool(self.missing(self._finished.shape[0]))
        )

    def missing(self, tasks: int) -> list[int]:
        return np.flatnonzero(~np.asarray(self._finished[:tasks])).tolist()

    def write(
        self, number: int, region: Region, results: tuple[Float[np.ndarray, "*record"], ...]
    ) -> None:
        for array, result in zip(self._arrays, results, strict=True):
            array[(*region, ...)] = result
        self._finished[number] = True

    def finish(self) -> xr.Dataset:
        return xr.open_zarr(self._path, chunks={})


class NetCDF:
    """A netCDF file, written in one go from a hidden Zarr store beside it when all is done."""

    def __init__(self, path: Path, layout: Layout):
        self._path, self._parts = path, path.with_name(f".{path.name}.zarr")
        self._finished = path.exists()
        if self._finished:
            try:
                with xr.open_dataset(path, engine="netcdf4") as data:
                    stored = data.attrs.get("sweep")
            except (OSError, ValueError):
                raise ValueError(f"{path} must be a netCDF file of a sweep, it is not.") from None
            require_code(
                path, require_same(path, stored, layout.identity), layout.identity, half=False
            )
            # A sweep killed at its very end leaves its parts.
            shutil.rmtree(self._parts, ignore_errors=True)
        else:
            self._store = ZarrStore(self._parts, layout)

    def missing(self, tasks: int) -> list[int]:
        return [] if self._finished else self._store.missing(tasks)

    def write(
        self, number: int, region: Region, results: tuple[Float[np.ndarray, "*record"], ...]
    ) -> None:
        self._store.write(number, region, results)

    def finish(self) -> xr.Dataset:
        if not self._finished:
            part = self._path.with_name(f".{self._path.name}.part")
            with self._store.finish() as data:
                data.to_netcdf(part, engine="netcdf4")
            part.replace(self._path)
            shutil.rmtree(self._parts)
        return xr.open_dataset(self._path, engine="netcdf4", chunks={})


@contextmanager
def open_store(out: Path | None, layout: Layout) -> Iterator[Store]:
    """Open the store for the extension of `out`, and hold it until the context ends.

    Raises ValueError if the extension is neither .zarr nor .nc, or another sweep is writing there.
    """
    kinds = {".zarr": ZarrStore, ".nc": NetCDF}
    if out is None:
        yield Memory(layout)
        return
    if out.suffix not in kinds:
        raise ValueError(f"out must end in .zarr or .nc, got {str(out)!r}.")
    with claim(out):
        yield kinds[out.suffix](out, layout)


def _create(path: Path, layout: Layout) -> None:
    group = zarr.create_group(path, zarr_format=2, attributes={"sweep": layout.identity})
    for name, (dim, values, attributes) in layout.coords.items():
        # With a fill value, readers would treat equal values as missing.
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, fill_value=None,
            attributes={**attributes, _DIMENSIONS: [dim]},
        )  # fmt: skip
        array[...] = values
    tasks = math.prod(-(-a // b) for a, b in zip(layout.shape, layout.chunks, strict=True))
    # In a separate group, so that it is not a variable of the data set.
    group.create_array(_FINISHED, shape=(tasks,), dtype=bool, fill_value=False)
    for name in layout.names:
        group.create_array(
            name, shape=layout.shape, chunks=layout.chunks, dtype="float64", fill_value=np.nan,
            attributes={**VARIABLES[name], _DIMENSIONS: list(layout.dims)},
        )  # fmt: skip
    zarr.consolidate_metadata(path, zarr_format=2)
