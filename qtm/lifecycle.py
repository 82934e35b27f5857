"""The life cycle of one generation, and the loop over generations.

inherit (finetune) -> select (guided sampling) -> mutate -> sample N images
"""

from typing import TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._numerics import at, is_scheduled, safe_sqrt, whole
from qtm.inheritance import Clonal, Inheritance
from qtm.mutation import Mutation, NoMutation
from qtm.selection import Neutral, Selection
from qtm.states import Individuals, Moments, State, require_key

S = TypeVar("S", bound=State)


class LifeCycle(eqx.Module):
    """One generation: inherit (finetune) -> select (guided sampling) -> mutate -> sample N images.

    `size` is the number N of images sampled. Without it `Moments` do not drift, and `Individuals`
    keep their number. A population of individuals drifts in any case, because it is finite: its
    selection draws N parents, and that draw is the sampling of the N images.

    Any parameter of a part may be a function of the generation that is being produced. A plain
    function is not a JAX type: pass such a cycle through `equinox.filter_jit` and its kin rather
    than through `jax.jit`. A function that is itself an `equinox.Module` with `__call__` is a
    pytree, and what it holds can be differentiated. Values that a function returns are not checked.

    Raises ValueError if `size` is not a whole number of at least 1.
    """

    inheritance: Inheritance = eqx.field(default_factory=Clonal)
    selection: Selection = eqx.field(default_factory=Neutral)
    mutation: Mutation = eqx.field(default_factory=NoMutation)
    size: int | None = eqx.field(default=None, static=True)

    def __check_init__(self):
        if self.size is not None:
            whole("size", self.size, least=1)

    def step(
        self, state: S, key: PRNGKeyArray | None = None, generation: ArrayLike | None = None
    ) -> S:
        """The next generation, whose index `generation` is needed only by parameters that change.

        Order: inherit (finetune) -> select (guided sampling) -> mutate -> sample N images.

        `Moments` of shape `[...]` give `Moments` of the shape that the parameters broadcast to.
        With a finite size and a key they drift as a Gaussian refitted to N draws does,
        m + sqrt(V/N) e and V chi2_{N-1}/N; with a size and no key the mean stays and the variance
        takes its expectation V (1 - 1/N). `Individuals` need a key; each row of the result is a
        new individual.

        Raises ValueError if individuals come without a key, if a parameter is a function and no
        generation is given, or if the parameters have axes that the individuals lack.
        """
        if not is_scheduled(self):
            cycle = self
        elif generation is None:
            raise ValueError("generation must be given where a parameter depends on it, got None.")
        else:
            cycle = at(self, generation)
        if isinstance(state, Individuals):
            return cast(S, cycle._individuals(state, require_key(key)))
        return cast(S, cycle._moments(state, key))

    def _moments(self, state: Moments, key: PRNGKeyArray | None) -> Moments:
        state = self.inheritance.moments(state)
        state = self.selection.moments(state)
        state = self.mutation.moments(state)
        return state if self.size is None else _refit(state, self.size, key)

    def _individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        self._require_traits(state)
        inherit, select, mutate = jr.split(key, 3)
        state = self.inheritance.individuals(state, inherit)
        state = self.selection.individuals(state, select, self.size or state.size)
        return self.mutation.individuals(state, mutate)

    def _require_traits(self, state: Individuals) -> None:
        """Parameters of shape [3] would otherwise pair with the individuals of values [3]."""
        traits = state.values.shape[1:]
        after = jax.eval_shape(lambda: self._moments(Moments(state.mean, state.variance), None))
        if after.mean.shape != traits:
            raise ValueError(
                f"values must have shape [N, ...] with the trait axes {after.mean.shape} "
                f"of the parameters, got {state.values.shape}."
            )


def _refit(state: Moments, N: int, key: PRNGKeyArray | None) -> Moments:
    """Mean and maximum-likelihood variance of N draws from N(m, V), or their expectation."""
    m, V = state.mean, state.variance
    if key is None:
        return Moments(m, V * (1 - 1 / N))
    of_mean, of_variance = jr.split(key)
    chi2 = jr.chisquare(of_variance, N - 1, V.shape) if N > 1 else 0.0
    return Moments(m + safe_sqrt(V / N) * jr.normal(of_mean, m.shape), V * chi2 / N)


class Trajectory(eqx.Module):
    """What was recorded of an evolving population.

    `mean` and `variance` have shape `[generations + 1, ...]`, generation 0 included, in feature
    units and their square; the variance of individuals has divisor N. `final` is the population of
    the last generation.
    """

    mean: Float[Array, "generations+1 ..."]
    variance: Float[Array, "generations+1 ..."]
    final: State


def evolve(
    cycle: LifeCycle, state: State, generations: int, key: PRNGKeyArray | None = None
) -> Trajectory:
    """Repeats the life cycle for a number of generations, starting from `state` as generation 0.

    Order: inherit (finetune) -> select (guided sampling) -> mutate -> sample N images.

    Generation t uses `jax.random.fold_in(key, t)` and the parameters of generation t, so a longer
    run repeats a shorter one from its start.

    Raises ValueError as `LifeCycle.step` does, and if `generations` is not a whole number of at
    least 0. What a population only reaches on the way, such as a tilt without a positive precision,
    gives nan from there on.
    """
    generations = whole("generations", generations, least=0)
    return _evolve(cycle, state, generations, key)


@eqx.filter_jit
def _evolve(
    cycle: LifeCycle, state: State, generations: int, key: PRNGKeyArray | None
) -> Trajectory:
    def produce(state: State, t: ArrayLike) -> tuple[State, tuple[Array, Array]]:
        state = cycle.step(state, None if key is None else jr.fold_in(key, t), t)
        return state, (state.mean, state.variance)

    history, t = [(state.mean[None], state.variance[None])], 1
    after, _ = jax.eval_shape(produce, state, jnp.asarray(t))
    if generations > 0 and _shapes(after) != _shapes(state):
        # The first generation settles the shapes, of traits and of N, that all later ones have.
        state, (mean, variance) = produce(state, jnp.asarray(t))
        history.append((mean[None], variance[None]))
        t += 1
    if t <= generations:
        state, later = lax.scan(produce, state, jnp.arange(t, generations + 1))
        history.append(later)
    mean, variance = (
        jnp.concatenate([jnp.broadcast_to(x, (len(x), *state.mean.shape)) for x in record])
        for record in zip(*history, strict=True)
    )
    return Trajectory(mean, variance, state)


def _shapes(state: State) -> list[tuple[int, ...]]:
    return [leaf.shape for leaf in jax.tree.leaves(state)]
