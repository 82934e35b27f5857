"""Recordings without a GPU: every operation again, on the memory of the first time.

As a CUDA graph does, a tape knows nothing of Python: what is read, written or allocated while it is
recorded is read and written at the same place ever after.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Tape(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, types, inputs=(), options=None):
        options = options or {}
        values = operation(*inputs, **options)
        self.operations.append((operation, inputs, options, values))
        return values


class Tapes:
    """A recorder that counts what it recorded and what is replayed."""

    def __init__(self):
        self.recorded, self.replayed = 0, 0

    def running(self) -> AbstractContextManager:
        return nullcontext()

    def record(self, function: Callable, inputs: tuple) -> tuple[Callable[[], None], tuple]:
        with _Tape() as tape:
            values = function(*inputs)
        self.recorded += 1

        def run():
            self.replayed += 1
            with torch.no_grad():
                for operation, read, options, written in tape.operations:
                    again = operation(*read, **options)
                    if any(value.alias_info for value in operation._schema.returns):
                        # A view, or written in place.
                        continue
                    for place, content in zip(
                        tree_leaves(written), tree_leaves(again), strict=True
                    ):
                        if isinstance(place, torch.Tensor):
                            place.copy_(content)

        return run, values
