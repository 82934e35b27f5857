"""Directional selection."""

from jax import Array

from analysis.theories import Families, Parameter, Theory, Values
from qtm import Directional as DirectionalSelection
from qtm.selection import Selection


class Directional(Theory):
    """Fitness exp(b z): the mean moves by b V, the variance stays.

    The gradient points to where the trait's mean moved, component by component.
    """

    name = "directional"
    parameters = (Parameter("gradient", "b, in 1/sd of generation 0", "positive", 1e-4, 10.0),)

    def selection(self, values: Values, families: Families, direction: Array) -> Selection:
        return DirectionalSelection(values["gradient"] * direction)
