"""How many populations go through their generations: in chunks, in blocks of chunks, in threads.

Chunks stay in a processor's cache, because a recursion of means and variances over whole arrays
waits for memory. Threads, one for each core, or for each device where there are several, take turns
at blocks of chunks; XLA lets go of Python's lock while it computes. Which thread takes a block, and
how large it is, cannot be seen in a result: set i draws with `jax.random.fold_in(key, i)`, whoever
evolves it.
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
from jaxtyping import Array, PRNGKeyArray

from qtm._core.sizes import chunk_of, chunks_of_a_block, cores
from qtm.cycle.evolution import Cycle, evolve, recorded
from qtm.states import Population

Keep = Literal["last", "all"]

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
        self, parameters: Any, index: Array | None, key: PRNGKeyArray | None
    ) -> tuple[Array, ...]:
        """What `evolve` records of one set, `[...]` or `[generations + 1, ...]`.

        `index` is the number of the set, or several, the key folded in with one after the other;
        None where there is no key.
        """
        cycle = self.cycle_of(parameters)
        state = self.state(parameters) if callable(self.state) else self.state
        own = key
        if own is not None:
            for number in jnp.atleast_1d(index):
                own = jr.fold_in(own, number)
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
    indices: np.ndarray | None,
    key: PRNGKeyArray | None,
    chunk: int | None = None,
) -> tuple[np.ndarray, ...]:
    """What is recorded of the sets; `indices` are the numbers that their keys are made with, None
    where there is no key."""
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
            own = slice(start, min(start + block, sets))
            inputs = jax.tree.map(lambda x: x[own], (parameters, indices))  # noqa: B023
            # The last block is filled up with its last set: one program does for all blocks.
            inputs = jax.tree.map(lambda x: _fill(x, block, np), inputs)
            if len(devices) > 1:
                inputs = jax.device_put(inputs, device)
            found = program(shared, inputs)
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
    sets = _sets(parameters, indices)
    count = -(-sets // width)

    def split(x: Any) -> Array:
        return _fill(jnp.asarray(x), count * width, jnp).reshape(count, width, *x.shape[1:])

    chunks = jax.tree.map(split, (parameters, indices))

    def together(chunk: Any) -> tuple[Array, ...]:
        own, index = chunk
        if width == 1:  # a batch of one would take the long way round
            one = job(*jax.tree.map(lambda x: x[0], (own, index)), key)
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


@lru_cache(maxsize=256)
def _compiled(rest: Any, chunk: int, platform: str) -> Callable[[Any, Any], tuple[Array, ...]]:
    """The program of a block, of what is no array in (job, key).

    Not `equinox.filter_jit`, which takes half a millisecond of each call under Python's lock.
    """

    def block(arrays: Any, inputs: Any) -> tuple[Array, ...]:
        job, key = eqx.combine(arrays, rest)
        return in_chunks(job, *inputs, key, chunk)

    return jax.jit(block, compiler_options=_COMPILER.get(platform))


def _sets(parameters: Any, indices: Any) -> int:
    """How many: of parameters there may be none, and of indices."""
    return len(jax.tree.leaves((parameters, indices))[0])
