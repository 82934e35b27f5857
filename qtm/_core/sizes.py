"""Sizes of the chunks and blocks in which populations are evolved."""

import math
import os
from typing import Any

import equinox as eqx
import jax
import numpy as np

# Bytes of parameters and populations in a chunk. A core has 1 or 2 MB of second-level cache and a
# step reads and writes its populations a few times; a graphics card wants to be filled instead.
_CHUNK_BYTES = {"cpu": 2**15}
_CHUNK_BYTES_ELSEWHERE = 2**28
_CHUNKS_OF_A_BLOCK = 64


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chunks_of_a_block(sets: int, chunk: int, workers: int) -> int:
    """Return the chunks of a block: enough to hide call overhead, few enough for all threads."""
    chunks = max(sets // (chunk * workers * 4), 1)
    return min(2 ** int(math.log2(chunks)), _CHUNKS_OF_A_BLOCK)


def chunk_of(state: Any, parameters: Any, platform: str) -> int:
    """Return how many parameter sets just fill the cache."""
    if callable(state):
        state = eqx.filter_eval_shape(state, _first_shapes(parameters))
    leaves = jax.tree.leaves((_first_shapes(parameters), state, state))  # of two generations
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves if hasattr(x, "dtype"))
    fits = _CHUNK_BYTES.get(platform, _CHUNK_BYTES_ELSEWHERE) // max(size, 1)
    # An odd multiple of 64 sets: arrays a power of two long would compete for the same cache lines.
    return fits // 128 * 128 + 64 if fits >= 64 else max(fits, 1)


def _first_shapes(parameters: Any) -> Any:
    """Return the shapes of one parameter set."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x)[1:], x.dtype), parameters)
