"""Truncation selection, the form of selection by which collapse was first explained."""

from jax import Array
from jaxtyping import PRNGKeyArray

from analysis.theories import Families, Parameter, Theory, Values
from qtm import Individuals, Moments
from qtm import Truncation as TruncationSelection
from qtm.selection import Selection


class Truncation(Theory):
    """In every family the top fraction p survives: S = i sqrt(V), V* = V (1 - k) (Bulmer 1971).

    The top is at the side to which the trait's mean moved, component by component.
    """

    name = "truncation"
    parameters = (
        Parameter("fraction", "share of each family that survives", "share", 1e-3, 0.9999),
    )

    def selection(self, values: Values, families: Families, direction: Array) -> Selection:
        return Mirrored(TruncationSelection(values["fraction"]), direction)


class Mirrored(Selection):
    """A selection that sees the trait as z or as -z, by a sign for every component."""

    selection: Selection
    sign: Array

    def moments(self, state: Moments) -> Moments:
        after = self.selection.moments(Moments(self.sign * state.mean, state.variance))
        return Moments(self.sign * after.mean, after.variance)

    def individuals(self, state: Individuals, key: PRNGKeyArray, size: int) -> Individuals:
        mirrored = Individuals(self.sign * state.values)
        return Individuals(self.sign * self.selection.individuals(mirrored, key, size).values)
