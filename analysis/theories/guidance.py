"""Guided sampling itself as selection: the family model under DDIM."""

from jax import Array

from analysis.theories import Families, Parameter, Theory, Values
from qtm import Guidance as GuidanceSelection
from qtm import Moments
from qtm.selection import Selection


class Guidance(Theory):
    """Families are guided away from their mixture: V_W' = V_W^w V_U^(1-w), V_B' = A(w)^2 V_B.

    The unconditional branch is the whole population as it was inherited, every family counting the
    same, with mean m_u and variance V_U = V_W + V_B. The scale w is an effective one: real guidance
    saturates, since at low noise the conditional and the unconditional score agree, so w stays
    below the scale of the recipe.
    """

    name = "guidance"
    parameters = (Parameter("scale", "effective guidance scale w", "positive", 0.05, 20.0),)

    def selection(self, values: Values, families: Families, direction: Array) -> Selection:
        whole = Moments(families.means.mean(axis=0), families.within + families.means.var(axis=0))
        return GuidanceSelection(values["scale"], whole, "ddim")
