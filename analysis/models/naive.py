"""The naive forecasts, baselines of every theory."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from analysis.models._base import Link, Model, Parameter, Setting, Values
from qtm import Families


@dataclass(frozen=True)
class NoChange(Model):
    """The next generation equals the present one."""

    theory: ClassVar[str] = "no change"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = ()
    links: ClassVar[tuple[Link, ...]] = ()
    naive: ClassVar[bool] = True

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        return state


@dataclass(frozen=True)
class LinearExtrapolation(Model):
    """Every arm continues its trend: mean, ln V_W and ln V_B change by their mean step so far.

    The steps of a held-out arm are interpolated between CFG scales.
    """

    theory: ClassVar[str] = "linear extrapolation"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = ()
    links: ClassVar[tuple[Link, ...]] = ()
    naive: ClassVar[bool] = True
    taken: ClassVar[int] = 3

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        mean, within, between = setting.trend
        return Families(
            state.mean + mean, state.within * jnp.exp(within), state.between * jnp.exp(between)
        )
