"""Many life cycles at once: one population for each set of parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray

from qtm._core.numerics import require_double, require_integer
from qtm._core.sizes import chunk_of
from qtm.cycle.evolution import Cycle, Trajectory
from qtm.states import Families, Moments, Population
from qtm.sweeps.blocks import Job, Keep, in_chunks, run


def evolve_many(
    cycle_of: Callable[[Any], Cycle],
    parameters: Any,
    state: Population | Callable[[Any], Population],
    generations: int,
    keep: Keep = "last",
    key: PRNGKeyArray | None = None,
    chunk: int | None = None,
) -> Trajectory:
    """Evolve one population for each set of parameters, in cache-sized chunks on all cores.

    `cycle_of` maps one set of parameters, any pytree of arrays, to its `LifeCycle` or
    `FamilyCycle`; `parameters` is that pytree with a leading axis of sets. `state` is generation 0
    of every set, or a function of one set of parameters that returns it. Both functions are
    compiled: pass the same function again rather than an equal new one, and the second call
    compiles nothing.

    `mean` and `variance` have shape `[sets, ...]` of the last generation (`keep="last"`) or
    `[sets, generations + 1, ...]`, generation 0 included (`keep="all"`), in feature units and their
    square; the variance of individuals has divisor N. `within` and `between` are recorded of
    `Families` alone. `final` holds the moments of the last generation: individuals and densities
    are not kept, since a million of them would not fit into memory.

    Set i is `evolve(cycle_of(set i), state, generations, fold_in(key, i))`. Neither `chunk`, the
    number of sets in one pass, nor the number of devices changes a result. Inside `jit` or `grad`
    the chunks go through `lax.map` in turn.

    A set whose mean or variance becomes undefined is nan from there on, without effect on others:
    `Trajectory.defined` is False for it.

    Raises ValueError if `parameters` have no common leading axis, if `keep` is unknown, and as
    `evolve` does.
    """
    require_double()
    generations = require_integer("generations", generations, least=0)
    sets = _count(parameters)
    parameters = jax.tree.map(_array, parameters)
    job = Job(cycle_of, state, generations, keep)
    if chunk is not None:
        chunk = require_integer("chunk", chunk, least=1)
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((parameters, state, key))):
        width = min(sets, chunk or chunk_of(state, parameters, "cpu"))
        records = in_chunks(job, parameters, None if key is None else jnp.arange(sets), key, width)
    else:
        records = run(job, parameters, None if key is None else np.arange(sets), key, chunk)
        records = tuple(map(jax.device_put, records))
    last = records if keep == "last" else tuple(x[:, -1] for x in records)
    return Trajectory(records[0], records[1], _population(*last), *records[2:])


def _population(mean: Array, variance: Array, *parts: Array) -> Population:
    """Return moments without validation: the constructor would raise for any set that is nan."""
    like = Families(0.0, 1.0, 1.0) if parts else Moments(0.0, 1.0)
    return jax.tree.unflatten(jax.tree.structure(like), (mean, *(parts or [variance])))


def _count(parameters: Any) -> int:
    """Return the length of the leading axis that all leaves of `parameters` share."""
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(parameters)]
    lengths = {shape[0] if shape else 0 for shape in shapes}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(
            "parameters must share a leading axis of at least 1 set, got shapes "
            f"{', '.join(map(str, shapes)) or 'none'}."
        )
    return lengths.pop()


def _array(leaf: Any) -> Any:
    """Return floats as float64, the type of all theory; integers and tracers unchanged."""
    if isinstance(leaf, Tracer):
        return leaf
    values = np.asarray(leaf)
    floating = np.issubdtype(values.dtype, np.floating)
    return values.astype(np.float64, copy=False) if floating else values
