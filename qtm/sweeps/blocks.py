"""Evolve many populations in chunks, in blocks of chunks, in threads.

Chunks fit into a CPU's cache, because a recursion of means and variances over entire arrays waits
for memory. Threads, one for each core, or for each device where there are several, take blocks of
chunks in turn; XLA releases Python's lock while it computes. Results depend neither on the thread
nor on the size of a block: set i always draws with `jax.random.fold_in(key, i)`.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Lock
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from qtm._core.sizes import chunk_of, chunks_of_a_block, cores
from qtm.cycle.evolution import Cycle, evolve, recorded
from qtm.states import Population

Keep = Literal["last", "all"]

# XLA uses one thread for each of ours. The new emitters (jaxlib 0.10) turn plain arithmetic into
# code that goes through the stack, four times slower than that of the emitters before them.
_COMPILER = {
    "cpu": {"xla_cpu_multi_thread_eigen": False, "xla_cpu_use_fusion_emitters": False},
}


class Job(eqx.Module):
    """The program of every set: a pytree, because functions and states may hold arrays."""

    cycle_of: Callable[[Any], Cycle]
    state: Population | Callable[[Any], Population]
    generations: int = eqx.field(static=True)
    keep: Keep = eqx.field(static=True)

    def __check_init__(self):
        if self.keep not in ("last", "all"):
            raise ValueError(f"keep must be one of last, all, got {self.keep!r}.")

    def __call__(
        self, parameters: Any, index: Int[Array, "..."] | None, key: PRNGKeyArray | None
    ) -> tuple[Float[Array, "*record"], ...]:
        """Return the records of `evolve` for one set, `[...]` or `[generations + 1, ...]`.

        `index` is the number of the set, or several that are folded into the key in turn; None
        without a key.
        """
        cycle = self.cycle_of(parameters)
        state = self.state(parameters) if callable(self.state) else self.state
        set_key = key
        if set_key is not None:
            for number in jnp.atleast_1d(index):
                set_key = jr.fold_in(set_key, number)
        if self.keep == "all":
            path = evolve(cycle, state, self.generations, set_key)
            parts = (path.mean, path.variance, path.within, path.between)
            return tuple(x for x in parts if x is not None)
        return recorded(_final(cycle, state, self.generations, set_key))


def _final(
    cycle: Cycle, state: Population, generations: int, key: PRNGKeyArray | None
) -> Population:
    """Return the last population of `evolve`, without a record of the earlier ones."""

    def produce(state: Population, t: Any) -> Population:
        return cycle.step(state, None if key is None else jr.fold_in(key, t), t)

    if generations > 0:  # the first generation settles the shapes that all later ones have
        state = produce(state, jnp.asarray(1))
    times = jnp.arange(2, generations + 1)
    # Two generations a pass save copies; random draws compile slowly, and copies cost them little.
    unroll = 2 if key is None else 1
    return lax.scan(lambda state, t: (produce(state, t), None), state, times, unroll=unroll)[0]


def run(
    job: Job,
    parameters: Any,
    indices: Int[np.ndarray, "sets ..."] | None,
    key: PRNGKeyArray | None,
    chunk: int | None = None,
) -> tuple[Float[np.ndarray, "sets *record"], ...]:
    """Return the records of the sets; `indices` are the numbers for their keys, None without a
    key."""
    sets = _sets(parameters, indices)
    devices = jax.local_devices()
    platform = devices[0].platform
    chunk = min(chunk or chunk_of(job.state, parameters, platform), max(sets, 1))
    workers = max(1, len(devices) if platform != "cpu" else cores())
    block = chunk * chunks_of_a_block(sets, chunk, workers)
    results: list[np.ndarray] = []
    first = Lock()
    starts = iter(range(0, sets, block))  # threads share it: each start is given out once
    arrays, rest = eqx.partition((job, key), eqx.is_array)
    program = _compiled(rest, chunk, platform)

    def work(device: Any) -> None:
        shared = jax.device_put(arrays, device)
        for start in starts:
            rows = slice(start, min(start + block, sets))
            inputs = jax.tree.map(lambda x: x[rows], (parameters, indices))  # noqa: B023
            # The last block is padded with its last set: one program serves all blocks.
            inputs = jax.tree.map(lambda x: _fill(x, block, np), inputs)
            if len(devices) > 1:
                inputs = jax.device_put(inputs, device)
            computed = program(shared, inputs)
            with first:
                if not results:
                    results.extend(_aligned((sets, *x.shape[1:]), x.dtype) for x in computed)
            for result, part in zip(results, computed, strict=True):
                result[rows] = np.asarray(part)[: rows.stop - start]

    if sets > block:
        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(work, devices[i % len(devices)]) for i in range(workers)]:
                done.result()
    else:
        work(devices[0])
    return tuple(results)


def in_chunks(
    job: Job, parameters: Any, indices: Any, key: PRNGKeyArray | None, width: int
) -> tuple[Float[Array, "sets *record"], ...]:
    """Return the records of all sets, `width` of them at a time."""
    sets = _sets(parameters, indices)
    count = -(-sets // width)

    def split(x: Any) -> Array:
        return _fill(jnp.asarray(x), count * width, jnp).reshape(count, width, *x.shape[1:])

    chunks = jax.tree.map(split, (parameters, indices))

    def together(chunk: Any) -> tuple[Array, ...]:
        values, index = chunk
        if width == 1:  # vmap over a single set is slower
            single = job(*jax.tree.map(lambda x: x[0], (values, index)), key)
            return jax.tree.map(lambda x: x[None], single)
        return jax.vmap(job, (0, 0, None))(values, index, key)

    return tuple(x.reshape(-1, *x.shape[2:])[:sets] for x in lax.map(together, chunks))


def _fill(x: Any, length: int, xp: Any) -> Any:
    """Return x with its last entry repeated up to `length`."""
    missing = length - len(x)
    return xp.concatenate([x, xp.repeat(x[-1:], missing, axis=0)]) if missing else x


def _aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return an empty array aligned to 64 bytes, which JAX can take over without a copy."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


@lru_cache(maxsize=256)
def _compiled(rest: Any, chunk: int, platform: str) -> Callable[[Any, Any], tuple[Array, ...]]:
    """Return the compiled program of a block, for the static part of (job, key).

    Not by `equinox.filter_jit`, which takes half a millisecond of each call under Python's lock.
    """

    def block(arrays: Any, inputs: Any) -> tuple[Array, ...]:
        job, key = eqx.combine(arrays, rest)
        return in_chunks(job, *inputs, key, chunk)

    return jax.jit(block, compiler_options=_COMPILER.get(platform))


def _sets(parameters: Any, indices: Any) -> int:
    """Return the number of sets: either parameters or indices may be missing."""
    return len(jax.tree.leaves((parameters, indices))[0])
