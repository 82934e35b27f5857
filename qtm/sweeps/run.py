"""Lead a sweep: split the grid, distribute the missing tasks, store their results."""

import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import PRNGKeyArray

from qtm._core.numerics import require_double, require_integer
from qtm.cycle.evolution import Cycle
from qtm.progress import Progress, no_progress
from qtm.states import Population
from qtm.sweeps.blocks import Keep
from qtm.sweeps.cluster import Results, on_cluster
from qtm.sweeps.grid import Grid, Region, count
from qtm.sweeps.store import VARIABLES, Layout, open_store
from qtm.sweeps.task import Plan

if TYPE_CHECKING:
    from distributed import Client

# A killed sweep loses its current task, and progress counts tasks. Numbers of a population
# times generations are its work: 2^29 of them take about ten seconds on two cores.
_NUMBERS = 2**20
_WORK = 2**29


def sweep(
    cycle_of: Callable[[dict[str, Any]], Cycle],
    grid: Mapping[str, Any],
    state: Population | Callable[[dict[str, Any]], Population],
    generations: int,
    keep: Keep = "last",
    key: PRNGKeyArray | None = None,
    replicates: int | None = None,
    fixed: Collection[str] = (),
    out: str | Path | None = None,
    scheduler: "str | Client | None" = None,
    chunk: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Evolve a population at every point of a grid of parameters.

    `grid` names the parameters and lists their values. `cycle_of` gets one point of it, a
    dictionary of names and numbers, and returns the `LifeCycle` or `FamilyCycle`; `state` is
    generation 0, or a function of such a dictionary. Axes named in `fixed`, and all texts, reach
    `cycle_of` as Python values, for parameters that JAX cannot trace, such as a population size.

    The result has `mean` and `variance` (feature units and their square; of `Families` also
    `within` and `between`) over one dimension per parameter, with its values as coordinates; then
    `replicate`, if `replicates` is given; then `generation`, 0 included, with `keep="all"`;
    then the traits, if a population has several. The population at point i (in C order) draws with
    `fold_in(key, i)`, that of replicate r with `fold_in(fold_in(key, r), i)`: more replicates,
    other chunks, devices or schedulers change no result. Results are nan from where the mean or
    variance of a population becomes undefined.

    Without `out` the result is in memory. With `out`, a path that ends in .zarr or .nc, each task
    of the grid is written when it is done, so that memory does not grow with the grid, and the
    result is opened lazily. The same call resumes a killed one. A netCDF file appears when all
    tasks are done; until then its parts are in a hidden Zarr store beside it.

    `scheduler` is a Dask client, or the address of a scheduler: its workers compute, this
    process writes. `chunk` is that of `evolve_many`. `progress` is called with the number of
    populations that are finished, those of an earlier call included.

    Raises ValueError if an axis is not a list of finite numbers or texts, if replicates come
    without a key, if `out` is something else, is being written by another sweep, or belongs to one
    (axes, key, state, or the operations and constants of the life cycle differ), if it is partly
    computed by other code of qtm or JAX, if no scheduler answers, and as `evolve_many` does.
    ConnectionError if the scheduler or its workers are lost; the same call then resumes.
    """
    require_double()
    progress = progress or no_progress
    if replicates is not None and key is None:
        raise ValueError("key must be given for replicates, got None.")
    seed = None if key is None else (str(jr.key_impl(key)), np.asarray(jr.key_data(key)))
    points = Grid.of(grid, fixed, replicates)
    if chunk is not None:
        chunk = require_integer("chunk", chunk, least=1)
    generations = require_integer("generations", generations, least=0)
    plan = Plan(cycle_of, state, generations, keep, points, seed, chunk)
    layout, tasks = _layout(plan)
    work = _here if scheduler is None else partial(on_cluster, scheduler)
    with open_store(None if out is None else Path(out), layout) as store:
        missing = store.missing(len(tasks))
        progress(sum(map(count, tasks)) - sum(count(tasks[number]) for number in missing))
        with ThreadPoolExecutor(1) as writer:  # one task is compressed while the next is computed
            writing = None
            for number, results in work(plan, {number: tasks[number] for number in missing}):
                if writing is not None:
                    progress(writing.result())
                writing = writer.submit(_write, store, number, tasks[number], results)
            if writing is not None:
                progress(writing.result())
        return store.finish()


def _write(store: Any, number: int, region: Region, results: Results) -> int:
    store.write(number, region, results)
    return count(region)


def _layout(plan: Plan) -> tuple[Layout, list[Region]]:
    shapes, grid = plan.shapes_of_one(), plan.grid
    record = shapes[0]
    traits = record[1:] if plan.keep == "all" else record
    names = ("trait",) if len(traits) == 1 else tuple(f"trait_{i}" for i in range(len(traits)))
    inner = (*(["generation"] if plan.keep == "all" else []), *names)
    state = plan.state if not callable(plan.state) else None
    numbers = sum(np.size(leaf) for leaf in jax.tree.leaves(state)) + 2 * math.prod(traits)
    most = min(_NUMBERS // math.prod(record), _WORK // (numbers * max(plan.generations, 1)))
    pieces = grid.pieces(most)

    coords = {name: (name, values, {"long_name": name}) for name, values in grid}
    if grid.replicates is not None:
        coords["replicate"] = _numbered("replicate", grid.replicates)
    if plan.keep == "all":
        coords["generation"] = _numbered("generation", plan.generations + 1)
    layout = Layout(
        dims=(*grid.dims, *inner),
        shape=(*grid.shape, *record),
        chunks=(*pieces, *record),
        names=tuple(VARIABLES)[: len(shapes)],
        coords=coords,
        identity=json.dumps({**plan.fingerprint(), "tasks": pieces, "code": plan.code}),
    )
    return layout, grid.tasks(pieces)


def _numbered(name: str, size: int) -> tuple[str, np.ndarray, dict[str, Any]]:
    return name, np.arange(size), {"long_name": name}


def _here(plan: Plan, tasks: Mapping[int, Region]) -> Iterator[tuple[int, Results]]:
    for number, region in tasks.items():
        yield number, plan.compute(region)
