"""The life cycle of one generation, and the loop over generations.

inherit (finetune) -> select (guided sampling) -> mutate -> sample N images
"""

from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, PRNGKeyArray

from qtm._core.numerics import at, is_scheduled, require_double, require_integer
from qtm.cycle.evolution import Trajectory, evolve
from qtm.inheritance import Inheritance
from qtm.inheritance.clonal import Clonal
from qtm.mutation import Mutation
from qtm.mutation.none import NoMutation
from qtm.selection import Selection
from qtm.selection.neutral import Neutral
from qtm.states import Moments, Population
from qtm.states._evolving import Draws

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
        if generation is None and self.depends_on_generation:
            cause = "the training set" if self.inheritance.depends_on_generation else "a parameter"
            raise ValueError(f"generation must be given where {cause} depends on it, got None.")
        cycle = at(self, generation) if generation is not None and is_scheduled(self) else self
        t = 1 if generation is None else generation
        draws = state.draws(key, self.size)
        state.require_axes(cycle._axes_after)
        return cycle._generation(state, draws, t)

    @property
    def depends_on_generation(self) -> bool:
        """Whether a step must know its generation: for a parameter, or for the training set."""
        return self.inheritance.depends_on_generation or is_scheduled(self)

    def _generation(self, state: Any, draws: Draws, t: ArrayLike) -> Any:
        """One life cycle: each part acts on the population that the part before it left."""
        parts = (
            self.inheritance.fitted(self.size, t),  # finetune
            self.inheritance.seen_by(self.selection),  # guided sampling
            self.mutation,
            self.inheritance.training_set(state, self.size, t),  # sample N images
        )
        for part, randomness in zip(parts, draws, strict=True):
            state = state.after(part, *randomness)
        return state

    def _axes_after(self, axes: tuple[int, ...]) -> tuple[int, ...]:
        """Trait axes after a generation of a population with the trait axes `axes`."""
        once = Moments(jnp.zeros(axes), jnp.ones(axes))
        draws = once.draws(None, self.size)
        return jax.eval_shape(lambda: self._generation(once, draws, 1)).mean.shape
