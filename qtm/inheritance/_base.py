"""What a form of inheritance offers."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import PRNGKeyArray

from qtm.states import Density, Individuals, Moments


class Inheritance(eqx.Module):
    """The map from the training set to the distribution that the finetuned model represents.

    A form may also have `joint(state)` for `JointMoments`.
    """

    @abstractmethod
    def moments(self, state: Moments) -> Moments:
        """Mean and variance that the model takes up."""

    @abstractmethod
    def density(self, state: Density) -> Density:
        """The density that the model represents, on the same grid."""

    @abstractmethod
    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        """One individual of the model for each individual of the training set."""
