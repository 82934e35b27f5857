"""No mutation."""

from jaxtyping import PRNGKeyArray

from qtm.mutation._base import Mutation
from qtm.states import Density, Individuals, JointMoments, Moments


class NoMutation(Mutation):
    """Individuals stay unchanged."""

    @property
    def is_absent(self) -> bool:
        return True

    def moments(self, state: Moments) -> Moments:
        return state

    def joint(self, state: JointMoments) -> JointMoments:
        return state

    def density(self, state: Density) -> Density:
        return state

    def individuals(self, state: Individuals, key: PRNGKeyArray) -> Individuals:
        return state
