"""The interface of a form of inheritance."""

from abc import abstractmethod

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._parts import Part, Sampling
from qtm.mutation import Mutation
from qtm.selection import Selection
from qtm.states import Individuals, JointMoments, Moments, Population


class Inheritance(Part):
    """The map from the training set to the distribution that the finetuned model represents.

    A form has `moments`, and of the verbs `density`, `individuals` and `joint` those that it has an
    equation for. Three methods define the rest of a generation that depends on inheritance; the
    defaults suit a form that takes up one training set, shows its traits to selection as they are,
    and leaves sampling alone. `balance` and `joint_balance` are equilibria in closed form, where a
    form has one.
    """

    @abstractmethod
    def moments(self, state: Moments) -> Moments:
        """Return the mean and the variance that the model takes up."""

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        """Return one individual of the model for each individual of the training set."""
        raise self._no_form("Individuals")

    @property
    def depends_on_generation(self) -> bool:
        """Whether the training set depends on how many generations there have been."""
        return False

    def fitted(self, size: int | None, generation: ArrayLike) -> Part:
        """Return inheritance as it acts in `generation`: the part that makes the model.

        `size` is the number N of images of the training set, None for infinitely many; individuals
        have theirs. Selection acts on the population that this part returns.
        """
        return self

    def seen_by(self, selection: Selection) -> Selection:
        """Return `selection` as a map of inherited values."""
        return selection

    def training_set(self, before: Population, size: int | None, generation: ArrayLike) -> Part:
        """Return the part that samples N images and makes the next training set of them.

        `before` is the training set of this generation. Individuals bring the key that the model
        was drawn with: a form that draws in both places folds a number into one of them.
        """
        return Sampling(size)

    def balance(self, state: Moments, selection: Selection, mutation: Mutation) -> Moments | None:
        """Return the equilibrium to which `state` evolves, None without a closed form.

        It is that of expectations without a size, recorded after mutation as in `evolve`.
        """
        return None

    def joint_balance(
        self, state: JointMoments, selection: Selection, mutation: Mutation
    ) -> JointMoments | None:
        """Return the equilibrium to which correlated traits evolve, None without a closed form."""
        return None


def at_optimum(
    state: Moments, optimum: Float[Array, "..."], variance: Float[Array, "..."]
) -> Moments:
    """Return moments at rest: at the optimum, except that nothing moves without any variance.

    `variance` is that of the equilibrium; without it, and without any in `state`, means stay.
    """
    m = jnp.where((state.variance > 0) | (variance > 0), optimum, state.mean)
    return Moments(m, variance + 0 * state.variance)
