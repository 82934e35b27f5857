"""Gaussian stabilizing selection."""

from jax import Array

from analysis.theories import Families, Parameter, Theory, Values
from qtm import Stabilizing as StabilizingSelection
from qtm.selection import Selection


class Stabilizing(Theory):
    """Fitness exp(-(z - optimum)^2/(2 width2)), one optimum for all families (Lande 1976)."""

    name = "stabilizing"
    parameters = (
        Parameter("optimum", "fittest trait value, in sd of generation 0", "real", -20.0, 20.0),
        Parameter("width2", "squared width, in V of generation 0", "positive", 1e-2, 1e4),
    )

    def selection(self, values: Values, families: Families, direction: Array) -> Selection:
        return StabilizingSelection(values["optimum"], values["width2"])
