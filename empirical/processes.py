"""Several processes on one chain, as ``accelerate launch`` starts them.

Processes share the work by images, and every random number belongs to an image, so that a chain on
several devices equals the chain on one, up to the rounding of sums. With one process, nothing here
does anything.
"""

import os
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

T = TypeVar("T")


@cache
def _state() -> Any:
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    from accelerate import PartialState

    # Gradients of a chain on processors are summed by gloo.
    return PartialState(cpu=not torch.cuda.is_available())


def count() -> int:
    """Return how many processes work on the chain."""
    return 1 if _state() is None else _state().num_processes


def index() -> int:
    """Return the number of this process, from 0."""
    return 0 if _state() is None else _state().process_index


def is_main() -> bool:
    """Return whether this process writes the files of the chain."""
    return index() == 0


def device() -> torch.device | None:
    """Return the device of this process where several share a machine, or None."""
    return None if _state() is None else _state().device


def wait() -> None:
    """Wait until every process gets here."""
    if _state() is not None:
        _state().wait_for_everyone()


def mine(things: Sequence[T]) -> list[T]:
    """Return this process's share of things that all processes list in the same order."""
    return list(things[index() :: count()])


def add_up(tensors: Iterable[Float[Tensor, "..."] | None]) -> None:
    """Replace tensors by their sums over all processes, in place."""
    if _state() is None:
        return
    present = [tensor for tensor in tensors if tensor is not None]
    # In one message: the processes wait for each other once.
    flat = torch.cat([tensor.flatten() for tensor in present])
    torch.distributed.all_reduce(flat)
    for tensor, part in zip(present, flat.split([t.numel() for t in present]), strict=True):
        tensor.copy_(part.view_as(tensor))
