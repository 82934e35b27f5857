"""How many populations go through their generations: in chunks, in blocks of chunks, in threads.

Chunks stay in a processor's cache, because a recursion of means and variances over whole arrays
waits for memory. Threads, one for each core, or for each device where there are several, take turns
at blocks of chunks; XLA lets go of Python's lock while it computes. Which thread takes a block, and
how large it is, cannot be seen in a result: set i draws with `jax.random.fold_in(key, i)`, whoever
evolves it.
"""

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, PRNGKeyArray

from qtm.evolution import Cycle, evolve, recorded
from qtm.states import Population

Keep = Literal["last", "all"]

# Bytes of parameters and populations in a chunk. A core has 1 or 2 MB of second-level cache and a
# step reads and writes its populations a few times; a graphics card wants to be filled instead.
_CHUNK_BYTES = {"cpu": 2**15}
_CHUNK_BYTES_ELSEWHERE = 2**28
_CHUNKS_OF_A_BLOCK = 64

# Each thread computes alone. The new emitters (jaxlib 0.10) turn a pass of plain arithmetic into
# code that goes through the stack, four times slower than that of the emitters before them.
_COMPILER = {
    "cpu": {"xla_cpu_multi_thread_eigen": False, "xla_cpu_use_fusion_emitters": False},
}


class Job(eqx.Module):
    """What happens to every set: a pytree, because functions and states may hold arrays."""

    cycle_of: Callable[[Any], Cycle]
    state: Population | Callable[[Any], Population]
    generations: int = eqx.field(static=True)
    keep: Keep = eqx.field(static=True)

    def __check_init__(self):
        if self.keep not in ("last", "all"):
            raise ValueError(f"keep must be one of last, all, got {self.keep!r}.")

    def __call__(
        self, parameters: Any, index: Array, key: PRNGKeyArray | None
    ) -> tuple[Array, ...]:
        """What `evolve` records of one set, `[...]` or `[generations + 1, ...]`.

        `index` is the number of the set, or several, the key folded in with one after the other.
        """
        cycle = self.cycle_of(parameters)
        state = self.state(parameters) if callable(self.state) else self.state
        own = key
        for number in jnp.atleast_1d(index):
            own = None if own is None else jr.fold_in(own, number)
        if self.keep == "all":
            path = evolve(cycle, state, self.generations, own)
            parts = (path.mean, path.variance, path.within, path.between)
            return tuple(x for x in parts if x is not None)
        return recorded(_final(cycle, state, self.generations, own))


def _final(
    cycle: Cycle, state: Population, generations: int, key: PRNGKeyArray | None
) -> Population:
    """The last population of `evolve`, without a record of those before it."""

    def produce(state: Population, t: Any) -> Population:
        return cycle.step(state, None if key is None else jr.fold_in(key, t), t)

    if generations > 0:  # the first generation settles the shapes that all later ones have
        state = produce(state, jnp.asarray(1))
    times = jnp.arange(2, generations + 1)
    # Two generations a pass save copies; what draws is slow to compile, and not held up by copies.
    unroll = 2 if key is None else 1
    return lax.scan(lambda state, t: (produce(state, t), None), state, times, unroll=unroll)[0]


def run(
    job: Job,
    parameters: Any,
    indices: np.ndarray,
    key: PRNGKeyArray | None,
    chunk: int | None = None,
) -> tuple[np.ndarray, ...]:
    """What is recorded of the sets; `indices` are the numbers that their keys are made with."""
    sets = len(indices)
    devices = jax.local_devices()
    platform = devices[0].platform
    chunk = min(chunk or chunk_of(job, parameters, platform), max(sets, 1))
    workers = max(1, len(devices) if platform != "cpu" else _cores())
    block = chunk * _chunks(sets, chunk, workers)
    results: list[np.ndarray] = []
    first = Lock()
    starts = iter(range(0, sets, block))  # threads share it: each start is given out once

    def work(device: Any) -> None:
        arrays, rest = eqx.partition((job, key), eqx.is_array)
        shared = eqx.combine(jax.device_put(arrays, device), rest)
        for start in starts:
            own = slice(start, min(start + block, sets))
            inputs = jax.tree.map(lambda x: x[own], (parameters, indices))  # noqa: B023
            # The last block is filled up with its last set: one program does for all blocks.
            inputs = jax.tree.map(lambda x: _fill(x, block, np), inputs)
            inputs = jax.device_put(inputs, device)
            found = _compiled(platform)(shared[0], *inputs, shared[1], chunk)
            with first:
                if not results:
                    results.extend(_aligned((sets, *x.shape[1:]), x.dtype) for x in found)
            for result, part in zip(results, found, strict=True):
                result[own] = np.asarray(part)[: own.stop - start]

    if sets > block:
        with ThreadPoolExecutor(workers) as pool:
            for done in [pool.submit(work, devices[i % len(devices)]) for i in range(workers)]:
                done.result()
    else:
        work(devices[0])
    return tuple(results)


def in_chunks(
    job: Job, parameters: Any, indices: Any, key: PRNGKeyArray | None, width: int
) -> tuple[Array, ...]:
    """All sets, `width` of them at a time."""
    sets = len(indices)
    count = -(-sets // width)

    def split(x: Any) -> Array:
        return _fill(jnp.asarray(x), count * width, jnp).reshape(count, width, *x.shape[1:])

    chunks = jax.tree.map(split, (parameters, indices))

    def together(chunk: Any) -> tuple[Array, ...]:
        own, index = chunk
        if width == 1:  # a batch of one would take the long way round
            one = job(jax.tree.map(lambda x: x[0], own), index[0], key)
            return jax.tree.map(lambda x: x[None], one)
        return jax.vmap(job, (0, 0, None))(own, index, key)

    return tuple(x.reshape(-1, *x.shape[2:])[:sets] for x in lax.map(together, chunks))


def _fill(x: Any, length: int, xp: Any) -> Any:
    """x with its last entry repeated up to `length`."""
    missing = length - len(x)
    return xp.concatenate([x, xp.repeat(x[-1:], missing, axis=0)]) if missing else x


def _aligned(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An empty array that JAX can take over as it is: it wants its arrays to start at 64 bytes."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


@cache
def _compiled(platform: str) -> Callable[..., tuple[Array, ...]]:
    return eqx.filter_jit(compiler_options=_COMPILER.get(platform))(in_chunks)  # pyright: ignore


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chunks(sets: int, chunk: int, workers: int) -> int:
    """Chunks of one block: enough to hide what a call costs, few enough for all threads to help."""
    share = max(sets // (chunk * workers * 4), 1)
    return min(2 ** int(math.log2(share)), _CHUNKS_OF_A_BLOCK)


def chunk_of(job: Job, parameters: Any, platform: str) -> int:
    """How many sets keep the cache filled and no more."""
    state = job.state
    if callable(state):
        state = eqx.filter_eval_shape(state, _one_of(parameters))
    leaves = jax.tree.leaves((_one_of(parameters), state, state))  # of two generations
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves if hasattr(x, "dtype"))
    fits = _CHUNK_BYTES.get(platform, _CHUNK_BYTES_ELSEWHERE) // max(size, 1)
    # An odd multiple of 64 sets: arrays a power of two long would compete for the same cache lines.
    return fits // 128 * 128 + 64 if fits >= 64 else max(fits, 1)


def _one_of(parameters: Any) -> Any:
    """The shapes of one set."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x)[1:], x.dtype), parameters)
