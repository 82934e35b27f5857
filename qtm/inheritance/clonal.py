"""Complete inheritance."""

from jaxtyping import PRNGKeyArray

from qtm.inheritance._base import Inheritance
from qtm.states import Density, Individuals, JointMoments, Moments


class Clonal(Inheritance):
    """The model is its training set: full heritability, no base model to fall back on."""

    def moments(self, state: Moments) -> Moments:
        return state

    def joint(self, state: JointMoments) -> JointMoments:
        return state

    def density(self, state: Density) -> Density:
        return state

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        return state
