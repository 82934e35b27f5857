"""Classical selection of quantitative genetics on images, and its absence."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from analysis.models._base import Link, Parameter, Setting, Values
from analysis.models._parts import HERITABILITY, MUTATION, WITHIN_HERITABILITY, Theory, families
from qtm import Directional, FamilyCycle, Stabilizing, Truncation

_COMMON = (HERITABILITY, WITHIN_HERITABILITY, MUTATION)
# Without guidance there is no selection: strengths below this count as none.
_NONE = 1e-6


@dataclass(frozen=True)
class RefitDrift(Theory):
    """No selection: regression to the base, mutation, and the drift of n images a prompt."""

    theory: ClassVar[str] = "refit drift"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = _COMMON
    links: ClassVar[tuple[Link, ...]] = ()

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        return families(values, setting)


@dataclass(frozen=True)
class TruncationSelection(Theory):
    """In every family the top fraction p = exp(-x(w)) survives, with regression and mutation.

    S = i sqrt(V), V* = V (1 - k) (Bulmer 1971); the top is where the component's mean moved.
    """

    theory: ClassVar[str] = "truncation"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = _COMMON

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        fraction = jnp.exp(-jnp.clip(self.excess(values, setting.scale, setting), 1e-9, 12.0))
        top = Truncation(fraction)
        return families(values, setting, selection=top, direction=setting.direction)


@dataclass(frozen=True)
class StabilizingSelection(Theory):
    """Gaussian stabilizing selection of squared width 1/x(w) around generation 0's mean, on all.

    V* = V w2/(V + w2) within families, whose means come nearer by w2/(V + w2) (Lande 1976).
    """

    theory: ClassVar[str] = "stabilizing"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = _COMMON

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        width2 = 1 / jnp.maximum(self.excess(values, setting.scale, setting), _NONE)
        return families(values, setting, selection=Stabilizing(0.0, width2))


@dataclass(frozen=True)
class DirectionalSelection(Theory):
    """Fitness exp(b z) with gradient b = x(w): the mean moves by b V_W, variances stay."""

    theory: ClassVar[str] = "directional"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = _COMMON

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        form = Directional(self.excess(values, setting.scale, setting))
        return families(values, setting, selection=form, direction=setting.direction)
