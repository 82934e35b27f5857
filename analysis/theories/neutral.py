"""No selection: finetuning forgets and mutates, and that is all."""

from jax import Array

from analysis.theories import Families, Theory, Values
from qtm import Neutral as NeutralSelection
from qtm.selection import Selection


class Neutral(Theory):
    """Regression to the base, mutation and drift, without selection."""

    name = "neutral"
    parameters = ()

    def selection(self, values: Values, families: Families, direction: Array) -> Selection:
        return NeutralSelection()
