"""Where a sweep is kept: in memory, or in a Zarr store that says which tasks are finished."""

import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import xarray as xr
import zarr

from qtm.sweeps.grid import Region


@dataclass(frozen=True)
class Layout:
    """The arrays of a sweep: names and sizes of the dimensions, chunks, names of the variables,
    coordinates by name (their dimension, values and attributes), and what tells this sweep from
    others, as JSON."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    names: tuple[str, ...]
    coords: dict[str, tuple[str, np.ndarray, dict[str, Any]]]
    identity: str


VARIABLES: dict[str, dict[str, Any]] = {
    "mean": {"long_name": "mean of the trait", "units": "feature units"},
    "variance": {"long_name": "variance of the trait", "units": "feature units squared"},
    "within": {"long_name": "variance within families", "units": "feature units squared"},
    "between": {"long_name": "variance between families", "units": "feature units squared"},
}


class Store(Protocol):
    """What takes the result of each task."""

    def missing(self, tasks: int) -> list[int]:
        """Numbers of the tasks that are not finished."""
        ...

    def write(self, number: int, region: Region, results: tuple[np.ndarray, ...]) -> None: ...

    def finish(self) -> xr.Dataset:
        """What to give back when nothing is missing."""
        ...


class Memory:
    """Arrays of this process."""

    def __init__(self, layout: Layout):
        self._layout = layout
        self._arrays = {name: np.empty(layout.shape) for name in layout.names}

    def missing(self, tasks: int) -> list[int]:
        return list(range(tasks))

    def write(self, number: int, region: Region, results: tuple[np.ndarray, ...]) -> None:
        for array, result in zip(self._arrays.values(), results, strict=True):
            array[region] = result

    def finish(self) -> xr.Dataset:
        dims = self._layout.dims
        arrays = {name: (dims, array, VARIABLES[name]) for name, array in self._arrays.items()}
        return xr.Dataset(arrays, self._layout.coords, {"sweep": self._layout.identity})


class ZarrStore:
    """A Zarr store of one chunk a task; its array `finished` says which tasks are.

    A task is noted after its last byte is written: what a killed sweep was at is written again.

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
        _require_same(path, group.attrs.get("sweep"), layout)
        self._arrays = [cast(zarr.Array, group[name]) for name in layout.names]
        self._finished = cast(zarr.Array, group["finished"])

    def missing(self, tasks: int) -> list[int]:
        return np.flatnonzero(~np.asarray(self._finished[:tasks])).tolist()

    def write(self, number: int, region: Region, results: tuple[np.ndarray, ...]) -> None:
        for array, result in zip(self._arrays, results, strict=True):
            array[(*region, ...)] = result
        self._finished[number] = True

    def finish(self) -> xr.Dataset:
        data = xr.open_zarr(self._path, consolidated=False, chunks={})
        return data.drop_vars("finished")


class NetCDF:
    """A netCDF file, written in one go from a hidden Zarr store beside it when all is done."""

    def __init__(self, path: Path, layout: Layout):
        self._path, self._parts = path, path.with_name(f".{path.name}.zarr")
        self._finished = path.exists()
        if self._finished:
            try:
                with xr.open_dataset(path, engine="netcdf4") as data:
                    found = data.attrs.get("sweep")
            except (OSError, ValueError):
                raise ValueError(f"{path} must be a netCDF file of a sweep, it is not.") from None
            _require_same(path, found, layout)
        else:
            self._store = ZarrStore(self._parts, layout)

    def missing(self, tasks: int) -> list[int]:
        return [] if self._finished else self._store.missing(tasks)

    def write(self, number: int, region: Region, results: tuple[np.ndarray, ...]) -> None:
        self._store.write(number, region, results)

    def finish(self) -> xr.Dataset:
        if not self._finished:
            part = self._path.with_name(f".{self._path.name}.part")
            with self._store.finish() as data:
                data.to_netcdf(part, engine="netcdf4")
            part.replace(self._path)
            shutil.rmtree(self._parts)
        return xr.open_dataset(self._path, engine="netcdf4", chunks={})


def open_store(out: Path | None, layout: Layout) -> Store:
    """The store that the ending of `out` asks for; ValueError if it is none of .zarr and .nc."""
    if out is None:
        return Memory(layout)
    kinds = {".zarr": ZarrStore, ".nc": NetCDF}
    if out.suffix not in kinds:
        raise ValueError(f"out must end in .zarr or .nc, got {str(out)!r}.")
    out.parent.mkdir(parents=True, exist_ok=True)
    return kinds[out.suffix](out, layout)


def _create(path: Path, layout: Layout) -> None:
    group = zarr.create_group(path, attributes={"sweep": layout.identity})
    for name, (dim, values, attributes) in layout.coords.items():
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, dimension_names=[dim],
            attributes=attributes,
        )  # fmt: skip
        array[...] = values
    tasks = math.prod(-(-a // b) for a, b in zip(layout.shape, layout.chunks, strict=True))
    group.create_array("finished", shape=(tasks,), dtype=bool, dimension_names=["task"])
    for name in layout.names:
        group.create_array(
            name, shape=layout.shape, chunks=layout.chunks, dtype="float64", fill_value=np.nan,
            dimension_names=layout.dims, attributes=VARIABLES[name],
        )  # fmt: skip


def _require_same(path: Path, found: Any, layout: Layout) -> None:
    """Raises ValueError, naming what differs, unless `path` holds this sweep."""
    if not isinstance(found, str):
        raise ValueError(f"{path} must be the store of a sweep, it is not.")
    theirs, ours = json.loads(found), json.loads(layout.identity)
    differ = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
    if differ:
        raise ValueError(
            f"{path} belongs to another sweep, they differ in {', '.join(differ)}: "
            f"out must be a new path, or this one after it is removed."
        )
