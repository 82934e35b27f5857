"""The life cycle of one generation, and the loop over generations.

inherit (finetune) -> select (guided sampling) -> mutate -> sample N images
"""

from typing import Any, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import ArrayLike, PRNGKeyArray

from qtm._core.numerics import at, is_scheduled, require_double, require_integer
from qtm.cycle.evolution import Trajectory, evolve
from qtm.inheritance import Clonal, Infinitesimal, Inheritance, Refit
from qtm.inheritance._model import draw_from_model
from qtm.inheritance.phenotype import OnPhenotype
from qtm.inheritance.refit import sample
from qtm.mutation import Mutation, NoMutation
from qtm.selection import Neutral, Selection
from qtm.states import (
    Density,
    Families,
    Individuals,
    JointMoments,
    Moments,
    Population,
    require_key,
)

__all__ = ["LifeCycle", "Trajectory", "evolve"]

S = TypeVar("S", bound=Population)


class LifeCycle(eqx.Module):
    """One generation: inherit (finetune) -> select (guided sampling) -> mutate -> sample N images.

    `size` is the number N of images sampled. Without it `Moments` do not drift, and `Individuals`
    keep their number. A population of individuals drifts in any case, because it is finite: its
    selection draws N parents, and that draw is the sampling of the N images. A `Density` is
    infinite and has no size.

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
            require_integer("size", self.size, least=1)

    def step(
        self, state: S, key: PRNGKeyArray | None = None, generation: ArrayLike | None = None
    ) -> S:
        """The next generation, whose index `generation` is needed only by what changes with it.

        Order: inherit (finetune) -> select (guided sampling) -> mutate -> sample N images.

        `Moments` of shape `[...]` give `Moments` of the shape that the parameters broadcast to.
        With a finite size and a key they drift as a Gaussian refitted to N draws does,
        m + sqrt(V/N) e and V chi2_{N-1}/N; with a size and no key the mean stays and the variance
        takes its expectation V (1 - 1/N). `Individuals` need a key; each row of the result is a
        new individual. `JointMoments` take their expectation too, covariance P (1 - 1/N).

        Raises ValueError if individuals come without a key, if a parameter is a function, or a
        refit accumulates, and no generation is given, if the parameters have axes that the
        individuals or the density lack, if a density comes with a size, or if a part of the cycle
        has no form for this kind of population. What has no value is nan inside `jit`.
        """
        require_double()
        refits = isinstance(self.inheritance, Refit) and self.inheritance.accumulate
        if generation is None and (refits or is_scheduled(self)):
            what = "the training set" if refits else "a parameter"
            raise ValueError(f"generation must be given where {what} depends on it, got None.")
        cycle = at(self, generation) if generation is not None and is_scheduled(self) else self
        t = 1 if generation is None else generation
        if isinstance(state, Individuals):
            return cast(S, cycle._individuals(state, require_key(key), t))
        if isinstance(state, Density):
            return cast(S, cycle._density(state))
        if isinstance(state, JointMoments):
            return cast(S, cycle._joint(state, key))
        if isinstance(state, Families):
            raise ValueError("the life cycle of Families is FamilyCycle, got LifeCycle.")
        return cast(S, cycle._moments(state, key, t))

    @property
    def _selection(self) -> Selection:
        """Selection as it acts on what is inherited, which may show through an environment only."""
        if isinstance(self.inheritance, Infinitesimal):
            return OnPhenotype(self.selection, self.inheritance.environmental_variance)
        return self.selection

    def _moments(self, state: Moments, key: PRNGKeyArray | None, t: ArrayLike) -> Moments:
        inheritance, N = self.inheritance, self.size
        if isinstance(inheritance, Refit):
            made = inheritance.fitted(state, N, t)
        else:
            made = inheritance.moments(state)
        made = self._selection.moments(made)
        made = self.mutation.moments(made)
        if isinstance(inheritance, Refit):
            return inheritance.training_moments(state, made, N, t, key)
        if N is None:
            return made
        return (
            Moments(made.mean, made.variance * (1 - 1 / N)) if key is None else sample(made, N, key)
        )

    def _individuals(self, state: Individuals, key: PRNGKeyArray, t: ArrayLike) -> Individuals:
        self._require_traits(state)
        inherit, select, mutate = jr.split(key, 3)
        inheritance, N = self.inheritance, self.size or state.size
        if isinstance(inheritance, Refit):
            model = inheritance.fitted(Moments(state.mean, state.variance), state.size, t)
            made = draw_from_model(model, self.selection, select, N)
            made = self.mutation.individuals(made, mutate)
            return inheritance.training_individuals(state, made, t, inherit)
        made = inheritance.individuals(state, inherit)
        made = self._selection.individuals(made, select, N)
        return self.mutation.individuals(made, mutate)

    def _density(self, state: Density) -> Density:
        if self.size is not None:
            raise ValueError(
                f"size must be None for a Density, which is infinite, got {self.size}."
            )
        self._require_traits(state)
        state = self.inheritance.density(state)
        state = _form(self._selection, "density", "Density")(state)
        return self.mutation.density(state)

    def _joint(self, state: JointMoments, key: PRNGKeyArray | None) -> JointMoments:
        if key is not None and self.size is not None:
            raise ValueError("key must be None for JointMoments, which take their expectation.")
        for part in (self.inheritance, self.selection, self.mutation):
            _form(part, "joint", "JointMoments")
        for part in (self.inheritance, self._selection, self.mutation):
            state = _form(part, "joint", "JointMoments")(state)
        if self.size is None:
            return state
        return JointMoments(state.mean, state.covariance * (1 - 1 / self.size))

    def _require_traits(self, state: Individuals | Density) -> None:
        """Parameters of shape [3] would otherwise pair with the individuals of values [3]."""
        values = state.values if isinstance(state, Individuals) else state.density
        traits = values.shape[1:]
        once = Moments(jnp.zeros(traits), jnp.ones(traits))
        after = jax.eval_shape(lambda: self._moments(once, None, 1))
        if after.mean.shape != traits:
            name, first = ("values", "N") if isinstance(state, Individuals) else ("density", "G")
            raise ValueError(
                f"{name} must have shape [{first}, ...] with the trait axes {after.mean.shape} "
                f"of the parameters, got {values.shape}."
            )


def _form(part: Any, name: str, state: str) -> Any:
    """The method of a part for a kind of population, or ValueError that it has none."""
    method = getattr(part, name, None)
    if method is None:
        raise ValueError(f"{type(part).__name__} has no form for {state}.")
    return method
