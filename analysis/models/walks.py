"""Time series models without a mechanism: the general random walk and Ornstein-Uhlenbeck."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from analysis.models._base import Model, Parameter, Setting, Values
from qtm import Families

_ARMS = "arms with other CFG scales"


def _real(name: str, meaning: str, reach: float, data: str = "more generations") -> Parameter:
    return Parameter(name, meaning, "real", -reach, reach, 0.0, reach / 4, data)


@dataclass(frozen=True)
class GeneralRandomWalk(Model):
    """ln V changes every generation by a step mu + b x(w), in V_W and V_B each (Hunt 2006).

    The mean walks without direction. The strength of the link is taken up by the b.
    """

    theory: ClassVar[str] = "general random walk"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = (
        _real("within_step", "step of ln V_W per generation without guidance", 4.0),
        _real("within_push", "effect of guidance on it, per unit of strength", 4.0, _ARMS),
        _real("between_step", "step of ln V_B per generation without guidance", 4.0),
        _real("between_push", "effect of guidance on it, per unit of strength", 4.0, _ARMS),
    )

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(p for p in super().parameters if p.name != "strength")

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        x = self.excess(values, setting.scale, setting)
        within = values["within_step"] + values["within_push"] * x
        between = values["between_step"] + values["between_push"] * x
        return Families(
            state.mean, state.within * jnp.exp(within), state.between * jnp.exp(between)
        )


@dataclass(frozen=True)
class OrnsteinUhlenbeck(Model):
    """Mean, ln V_W and ln V_B return to optima: y' = y + s (theta + b x(w) - y).

    s = 1 - e^(-a) is the fraction of the way in one generation (Hansen 1997). The optimum of the
    mean is generation 0's.
    """

    theory: ClassVar[str] = "Ornstein-Uhlenbeck"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = (
        Parameter(
            "within_return", "fraction of the way of ln V_W to its optimum per generation",
            "fraction", 1e-3, 0.999, 0.3, 1.5,
        ),
        _real("within_optimum", "optimum of ln V_W without guidance, less generation 0", 6.0),
        _real("within_push", "effect of guidance on it, per unit of strength", 8.0, _ARMS),
        Parameter(
            "between_return", "fraction of the way of ln V_B to its optimum per generation",
            "fraction", 1e-3, 0.999, 0.3, 1.5,
        ),
        _real("between_optimum", "optimum of ln V_B without guidance, less generation 0", 6.0),
        _real("between_push", "effect of guidance on it, per unit of strength", 8.0, _ARMS),
    )  # fmt: skip

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(p for p in super().parameters if p.name != "strength")

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        x = self.excess(values, setting.scale, setting)

        def towards(V, start, part: str):
            optimum = jnp.log(start) + values[f"{part}_optimum"] + values[f"{part}_push"] * x
            s = values[f"{part}_return"]
            return jnp.exp((1 - s) * jnp.log(V) + s * optimum)

        return Families(
            (1 - values["within_return"]) * state.mean,
            towards(state.within, setting.base.within, "within"),
            towards(state.between, setting.base.between, "between"),
        )
