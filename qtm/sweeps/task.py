"""One task of a sweep: the populations of one box of the grid."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import PRNGKeyArray

from qtm._blocks import Job, Keep, run
from qtm.evolution import Cycle
from qtm.states import Population
from qtm.sweeps.grid import Grid, Region


class Bound(eqx.Module):
    """A function of parameters of which some are already known.

    Two with the same function and the same known values are equal, so JAX compiles once.
    """

    function: Callable[[Any], Any]
    known: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __call__(self, parameters: dict[str, Any]) -> Any:
        return self.function({**dict(self.known), **parameters})


@dataclass(frozen=True)
class Plan:
    """All that a worker needs to know; can be pickled."""

    cycle_of: Callable[[Any], Cycle]
    state: Population | Callable[[Any], Population]
    generations: int
    keep: Keep
    grid: Grid
    seed: (
        tuple[str, np.ndarray] | None
    )  # a key as its kind and its numbers, which any process reads
    chunk: int | None

    @property
    def key(self) -> PRNGKeyArray | None:
        return (
            None
            if self.seed is None
            else jr.wrap_key_data(jnp.asarray(self.seed[1]), impl=self.seed[0])
        )

    def job(self, region: Region) -> Job:
        """The program of a box."""
        known = tuple(self.grid.fixed_at(region).items())
        state = Bound(self.state, known) if callable(self.state) else self.state
        return Job(Bound(self.cycle_of, known), state, self.generations, self.keep)

    def compute(self, region: Region) -> tuple[np.ndarray, ...]:
        """What is recorded, each of the shape of the box followed by that of one population."""
        parameters, numbers = self.grid.sets(region)
        found = run(self.job(region), parameters, numbers, self.key, self.chunk)
        shape = [side.stop - side.start for side in region]
        return tuple(x.reshape(*shape, *x.shape[1:]) for x in found)

    def _first(self) -> tuple[Job, tuple[Any, ...]]:
        region = tuple(slice(0, 1) for _ in self.grid.shape)
        parameters, numbers = self.grid.sets(region)
        one = jax.tree.map(lambda x: jnp.asarray(x[0]), (parameters, numbers))
        return self.job(region), (*one, self.key)

    def shapes_of_one(self) -> list[tuple[int, ...]]:
        """The shapes of what is recorded of one population; raises what `cycle_of` raises."""
        job, arguments = self._first()
        return [x.shape for x in eqx.filter_eval_shape(job, *arguments)]

    def fingerprint(self) -> dict[str, Any]:
        """What has to be the same for two sweeps to be one: names and short digests."""
        job, arguments = self._first()
        leaves, tree = jax.tree.flatten(self.state if not callable(self.state) else None)
        program = str(eqx.filter_make_jaxpr(job)(*arguments)[0])
        return {
            **{name: _digest(values) for name, values in self.grid},
            "replicates": self.grid.replicates,
            "generations": self.generations,
            "keep": self.keep,
            "key": None if self.seed is None else [self.seed[0], _digest(self.seed[1])],
            "state": _digest(str(tree), *(np.asarray(leaf) for leaf in leaves)),
            # The traced operations; addresses of functions differ between processes.
            "cycle_of": _digest(re.sub(r"0x[0-9a-f]+", "", program)),
        }


def _digest(*parts: str | np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        if isinstance(part, str):
            digest.update(part.encode())
        else:
            digest.update(
                f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes()
            )
    return digest.hexdigest()
