"""The naive forecast: tomorrow is as today."""

from jax import Array

from analysis.theories import EFFECTIVE, Families, Parameter, Theory, Values
from qtm import Neutral
from qtm.selection import Selection


class NoChange(Theory):
    """Every generation repeats the one before, up to drift. What any theory has to beat."""

    name = "no change"
    parameters = ()
    as_measured = True

    def selection(self, values: Values, families: Families, direction: Array) -> Selection:
        return Neutral()

    def produce(
        self, values: Values, parents: Families, base: Families, restarts: bool, direction: Array
    ) -> Families:
        return parents

    def all_parameters(self, restarts: bool) -> tuple[Parameter, ...]:
        return (EFFECTIVE,)
