"""Recordings of work on a GPU.

A denoiser is hundreds of small kernels, and launching them from Python takes as long as running
them, or longer. A recording launches all of them at once, on the same memory with new contents.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from jaxtyping import Shaped
from torch import Tensor

from empirical.out_of_memory import is_out_of_memory

Values = tuple[Shaped[Tensor, "..."], ...]
# A recording runs the same kernels: apart from sums in random order it gives the same bits.
_ALIKE = 0.02


class Recorder(Protocol):
    """A way to record the work of a function of tensors."""

    def running(self) -> AbstractContextManager:
        """Return the context in which functions run, are recorded and are replayed."""
        ...

    def record(
        self, function: Callable[..., Values], inputs: Values
    ) -> tuple[Callable[[], None], Values]:
        """Return a function that repeats the work, on the same memory, and the values there."""
        ...


class CudaGraphs:
    """Recordings by CUDA, on a separate stream."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run after the work that is queued, and before what is queued later."""
        outside = torch.cuda.current_stream()
        self._stream.wait_stream(outside)
        # Gradients are added up on the stream on which the first forward pass ran.
        with torch.cuda.stream(self._stream):
            yield
        outside.wait_stream(self._stream)

    def record(
        self, function: Callable[..., Values], inputs: Values
    ) -> tuple[Callable[[], None], Values]:
        """Record a function, which is not run by that."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            values = function(*inputs)
        return graph.replay, values


class Replayed:
    """A function of tensors that is recorded at the second call with the same shapes.

    From then on, each call copies its inputs to those of the recording, replays it, and returns
    copies of its outputs. Everything else that the function reads or writes must stay at the same
    place in memory; `state` returns what it writes. It must neither wait for a GPU nor draw random
    numbers. The first call runs as it is, so that libraries are loaded and algorithms chosen.

    A recording is used only if it gives, once, what the function gives. Otherwise, and where a
    function cannot be recorded, a warning says so, and all calls run as they are.
    """

    def __init__(
        self,
        function: Callable[..., Values],
        recorder: Recorder,
        state: Callable[[], Sequence[Shaped[Tensor, "..."]]] = lambda: (),
    ) -> None:
        self._function, self._recorder, self._state = function, recorder, state
        self._seen: set[tuple[torch.Size, ...]] = set()
        self._recordings: dict[
            tuple[torch.Size, ...], tuple[Callable[[], None], Values, Values]
        ] = {}
        self._fails = False

    def __call__(self, *inputs: Shaped[Tensor, "..."]) -> Values:
        """Return the function's values at these inputs."""
        key = tuple(value.shape for value in inputs)
        with self._recorder.running():
            if self._fails or key not in self._seen:
                self._seen.add(key)
                values = self._function(*inputs)
            elif key not in self._recordings:
                values = self._recorded(key, inputs)
            else:
                values = self._replay(key, inputs)
        return values

    def _recorded(self, key: tuple[torch.Size, ...], inputs: Values) -> Values:
        """Run the function, and record it if the recording does the same."""
        before = [part.clone() for part in self._state()]
        expected = self._function(*inputs)
        after = [part.clone() for part in self._state()]
        places = tuple(value.clone() for value in inputs)
        try:
            self._recordings[key] = (*self._recorder.record(self._function, places), places)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            return self._given_up(str(error).splitlines()[0], after, expected)
        self._restore(before)
        values = self._replay(key, inputs)
        pairs = zip((*values, *self._state()), (*expected, *after), strict=True)
        if not all(_alike(*pair) for pair in pairs):
            return self._given_up("it gives other numbers", after, expected)
        return values

    def _given_up(
        self, reason: str, state: Sequence[Shaped[Tensor, "..."]], values: Values
    ) -> Values:
        warnings.warn(f"work on the GPU is not recorded, which is slower: {reason}", stacklevel=4)
        self._fails = True
        self._recordings.clear()
        self._restore(state)
        return values

    def _restore(self, state: Sequence[Shaped[Tensor, "..."]]) -> None:
        with torch.no_grad():
            for part, content in zip(self._state(), state, strict=True):
                part.copy_(content)

    def _replay(self, key: tuple[torch.Size, ...], inputs: Values) -> Values:
        run, values, places = self._recordings[key]
        for place, value in zip(places, inputs, strict=True):
            place.copy_(value, non_blocking=True)
        run()
        return tuple(value.clone() for value in values)


def _alike(actual: Shaped[Tensor, "..."], expected: Shaped[Tensor, "..."]) -> bool:
    difference = torch.linalg.vector_norm((actual - expected).float())
    return bool(difference <= _ALIKE * torch.linalg.vector_norm(expected.float()))
