"""One task of a sweep: the populations of one box of the grid."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Float, PRNGKeyArray, UInt32

from qtm.cycle.evolution import Cycle
from qtm.states import Population
from qtm.sweeps import fingerprint, traced
from qtm.sweeps.blocks import Job, Keep, run
from qtm.sweeps.code import code
from qtm.sweeps.grid import Grid, Region


class Bound(eqx.Module):
    """A function of parameters with some of them bound.

    Instances with the same function and bound values are equal, so JAX compiles once.
    """

    function: Callable[[Any], Any]
    known: tuple[tuple[str, Any], ...] = eqx.field(static=True)

    def __call__(self, parameters: dict[str, Any]) -> Any:
        return self.function({**dict(self.known), **parameters})


@dataclass(frozen=True)
class Plan:
    """The complete input of a worker; can be pickled."""

    cycle_of: Callable[[Any], Cycle]
    state: Population | Callable[[Any], Population]
    generations: int
    keep: Keep
    grid: Grid
    seed: (
        tuple[str, UInt32[np.ndarray, "..."]] | None
    )  # a key as its kind and its numbers, which any process reads
    chunk: int | None
    code: dict[str, str] = field(default_factory=code)

    @property
    def key(self) -> PRNGKeyArray | None:
        return (
            None
            if self.seed is None
            else jr.wrap_key_data(jnp.asarray(self.seed[1]), impl=self.seed[0])
        )

    def job(self, region: Region) -> Job:
        """Return the program of a box."""
        known = tuple(self.grid.fixed_at(region).items())
        state = Bound(self.state, known) if callable(self.state) else self.state
        return Job(Bound(self.cycle_of, known), state, self.generations, self.keep)

    def compute(self, region: Region) -> tuple[Float[np.ndarray, "*record"], ...]:
        """Return the records of a box, each of its shape followed by that of one population.

        Raises ValueError on a worker whose code of qtm differs from that of the leading process.
        """
        if self.code != code():
            raise ValueError(
                f"a worker has other code of qtm or JAX ({_versions(code())}) than this process "
                f"({_versions(self.code)}): install the same on both."
            )
        parameters, numbers = self.grid.sets(region)
        records = run(self.job(region), parameters, numbers, self.key, self.chunk)
        shape = [side.stop - side.start for side in region]
        return tuple(x.reshape(*shape, *x.shape[1:]) for x in records)

    def _firsts(self) -> Iterator[tuple[Job, tuple[Any, ...]]]:
        """Yield the first point of the grid with each combination of the fixed values."""
        sides = [
            range(size if name in self.grid.fixed else 1)
            for name, size in zip(self.grid.dims, self.grid.shape, strict=True)
        ]
        for place in product(*sides):
            region = tuple(slice(i, i + 1) for i in place)
            parameters, numbers = self.grid.sets(region)
            first = jax.tree.map(lambda x: jnp.asarray(x[0]), (parameters, numbers))
            yield self.job(region), (*first, self.key)

    def shapes_of_one(self) -> list[tuple[int, ...]]:
        """Return the shapes of the records of one population; raise the errors of `cycle_of`."""
        job, arguments = next(self._firsts())
        return [x.shape for x in eqx.filter_eval_shape(job, *arguments)]

    def fingerprint(self) -> dict[str, Any]:
        """Return the names and short digests that identify a sweep.

        Each combination of fixed values has a separate program, and all are traced.
        """
        states, cycles = [], []
        for job, arguments in self._firsts():
            state = job.state
            if callable(state):
                states.append(traced.program(state, arguments[0]))
                state = eqx.filter_eval_shape(state, arguments[0])
            else:
                states.append(fingerprint.values(jax.tree.leaves(eqx.filter(state, eqx.is_array))))
            cycles.append(traced.program(_with_state(job), state, *arguments))
        return {
            "axes": [[name, fingerprint.values(values)] for name, values in self.grid],
            "replicates": self.grid.replicates,
            "generations": self.generations,
            "keep": self.keep,
            "key": None if self.seed is None else fingerprint.values(*self.seed),
            "state": fingerprint.values(states),
            "cycle_of": fingerprint.values(cycles),
        }


def _with_state(job: Job) -> Callable[..., Any]:
    """Return the program of a population whose generation 0 is an argument, not a constant."""
    return lambda state, *arguments: Job(job.cycle_of, state, job.generations, job.keep)(*arguments)


def _versions(code: dict[str, str]) -> str:
    return f"qtm {code['qtm']}, sources {code['source']}, JAX {code['jax']}"
