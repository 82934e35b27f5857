"""The loop over generations, and its record."""

from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray

from qtm._core.numerics import concrete, require_double, require_integer
from qtm.states import Population


class Cycle(Protocol):
    """A cycle that `evolve` can repeat: `LifeCycle`, `FamilyCycle`, `PromptCycle`."""

    def step(
        self, state: Any, key: PRNGKeyArray | None = None, generation: ArrayLike | None = None
    ) -> Any: ...


class Trajectory(eqx.Module):
    """The record of an evolving population.

    `mean` and `variance` have shape `[T, ...]`, T = generations + 1 with generation 0, in feature
    units and their square; the variance of individuals has divisor N. `final` is the population of
    the last generation. For `Families` and `Prompts`, `variance` is that of all images, and
    `within` and `between` are its two parts; otherwise both are None.
    """

    mean: Float[Array, "T ..."]
    variance: Float[Array, "T ..."]
    final: Population
    within: Float[Array, "T ..."] | None = None
    between: Float[Array, "T ..."] | None = None

    @property
    def defined(self) -> Bool[Array, "T ..."]:
        """Whether a generation has a finite mean and variance: False from the first without."""
        return jnp.isfinite(self.mean) & jnp.isfinite(self.variance)


def evolve(
    cycle: Cycle, state: Population, generations: int, key: PRNGKeyArray | None = None
) -> Trajectory:
    """Repeat the life cycle for a number of generations, starting from `state` as generation 0.

    Order: inherit (finetune) -> select (guided sampling) -> mutate -> sample N images.

    Generation t uses `jax.random.fold_in(key, t)` and the parameters of generation t, so a longer
    run repeats a shorter one from its start.

    Raises ValueError as `LifeCycle.step` does, also for a failure in a later generation, such as a
    tilt without a positive precision, and if `generations` is not a whole number of at
    least 0. Inside `jit`, `vmap` and `grad` nothing can be raised on the way: the entry is nan from
    there on, and `Trajectory.defined` is False.
    """
    require_double()
    generations = require_integer("generations", generations, least=0)
    path = _evolve(cycle, state, generations, key)
    if concrete(path.mean) and concrete(path.variance):
        _require_defined(cycle, state, path, key)
    return path


@eqx.filter_jit
def _evolve(
    cycle: Cycle, state: Population, generations: int, key: PRNGKeyArray | None
) -> Trajectory:
    def produce(state: Population, t: ArrayLike) -> tuple[Population, tuple[Array, ...]]:
        state = cycle.step(state, None if key is None else jr.fold_in(key, t), t)
        return state, recorded(state)

    history, t = [tuple(x[None] for x in recorded(state))], 1
    after, _ = jax.eval_shape(produce, state, jnp.asarray(t))
    if generations > 0 and _shapes(after) != _shapes(state):
        # The first generation fixes the shapes, of traits and of N, that all later ones have.
        state, record = produce(state, jnp.asarray(t))
        history.append(tuple(x[None] for x in record))
        t += 1
    if t <= generations:
        state, later = lax.scan(produce, state, jnp.arange(t, generations + 1))
        history.append(later)
    mean, variance, *parts = (
        jnp.concatenate([jnp.broadcast_to(x, (len(x), *state.mean.shape)) for x in record])
        for record in zip(*history, strict=True)
    )
    return Trajectory(mean, variance, state, *parts)


def recorded(state: Population) -> tuple[Float[Array, "*traits"], ...]:
    """Return mean and variance, and of families and prompts the variance within and between."""
    return (state.mean, state.variance, *state.parts)


def _shapes(state: Population) -> list[tuple[int, ...]]:
    return [leaf.shape for leaf in jax.tree.leaves(state)]


def _require_defined(
    cycle: Cycle, state: Population, path: Trajectory, key: PRNGKeyArray | None
) -> None:
    """Raise ValueError for the first generation without a finite mean and variance.

    Repeating that step outside of `jit` raises the error of the parameter at fault, if any.
    """
    defined = np.asarray(path.defined)
    if defined.all():
        return
    first = int(np.argmin(defined.reshape(len(defined), -1).all(axis=1)))
    before = state if first < 2 else _evolve(cycle, state, first - 1, key).final
    if first > 0:
        cycle.step(before, None if key is None else jr.fold_in(key, first), first)
    raise ValueError(
        f"mean and variance must be finite, got a mean of {np.asarray(path.mean[first])} and a "
        f"variance of {np.asarray(path.variance[first])} in generation {first}."
    )
