"""Guided sampling as selection: the family model under three operators."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from analysis.models._base import LINKS, Link, Parameter, Setting, Values
from analysis.models._parts import (
    COHERENCE,
    DROP_MUTATION,
    DROP_UPTAKE,
    HERITABILITY,
    MUTATION,
    UPTAKE,
    WITHIN_HERITABILITY,
    Theory,
    at_levels,
    families,
)
from qtm import FamilyCycle

GUIDED = (
    HERITABILITY, WITHIN_HERITABILITY, UPTAKE, DROP_UPTAKE, DROP_MUTATION, MUTATION, COHERENCE,
)  # fmt: skip


@dataclass(frozen=True)
class FamilyDDIM(Theory):
    """The family model under DDIM: V_W' = V_W^w V_U^(1-w), V_B' = A(w)^2 V_B, w = 1 + x(scale).

    A schedule replaces the scale level by level.
    """

    theory: ClassVar[str] = "family DDIM"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = GUIDED
    links: ClassVar[tuple[Link, ...]] = ("exact", *LINKS)

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        x = self.excess(values, setting.scales, setting)
        return families(values, setting, at_levels(values, setting, x), operator="ddim")


@dataclass(frozen=True)
class FamilyDDPM(Theory):
    """The family model under DDPM, whose noise on the way selects twice as hard within families."""

    theory: ClassVar[str] = "family DDPM"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = GUIDED

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        x = self.excess(values, setting.scales, setting)
        return families(values, setting, at_levels(values, setting, x), operator="ddpm")


@dataclass(frozen=True)
class FamilyTilt(Theory):
    """The family model if guidance sampled p_c^w p_u^(1-w), which it does not.

    A tilt has no noise levels: it uses the mean of the scale over levels.
    """

    theory: ClassVar[str] = "family tilt"
    theory_parameters: ClassVar[tuple[Parameter, ...]] = tuple(
        p for p in GUIDED if p is not COHERENCE
    )

    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        w = 1 + jnp.mean(self.excess(values, setting.scales, setting))
        return families(values, setting, w, operator="tilt")
