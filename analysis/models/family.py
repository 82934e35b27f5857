"""Guided sampling as selection: the family model under three operators."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jax import Array

from analysis.models._base import LINKS, Link, Model, Parameter, Setting, Values
from analysis.models._parts import (
    COHERENCE,
    DROP_MUTATION,
    DROP_UPTAKE,
    HERITABILITY,
    MUTATION,
    UPTAKE,
    WITHIN_HERITABILITY,
    inherited,
    measured,
    unconditional,
)
from analysis.models._transport import Operator, transport
from qtm import Families

GUIDED = (
    HERITABILITY, WITHIN_HERITABILITY, UPTAKE, DROP_UPTAKE, DROP_MUTATION, MUTATION, COHERENCE,
)  # fmt: skip


def guided(operator: Operator, w: Array, values: Values, learnt: Families, setting: Setting):
    """Return families after sampling at the scales `w` away from the unconditional branch."""
    V_U = unconditional(values, learnt, setting)
    noise = setting.noise / values["coherence"]
    A, V_W = transport(operator, w, noise, learnt.within, V_U)
    return Families(learnt.mean, V_W, jnp.square(A) * learnt.between)


def _step(operator: Operator, model: Model, values: Values, state: Families, setting: Setting):
    learnt = inherited(values, state, setting)
    w = 1 + model.excess(values, setting.scales, setting)
    return measured(values, guided(operator, w, values, learnt, setting), setting)


@dataclass(frozen=True)
class FamilyDDIM(Model):
    """The family model under DDIM: V_W' = V_W^w V_U^(1-w), V_B' = A(w)^2 V_B, w = 1 + x(scale).

    A schedule of the scale takes its place level by level.
    """

    theory: ClassVar[str] = "family DDIM"
    own: ClassVar[tuple[Parameter, ...]] = GUIDED
    links: ClassVar[tuple[Link, ...]] = ("exact", *LINKS)

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        return _step("ddim", self, values, state, setting)


@dataclass(frozen=True)
class FamilyDDPM(Model):
    """The family model under DDPM, whose noise on the way selects twice as hard within families."""

    theory: ClassVar[str] = "family DDPM"
    own: ClassVar[tuple[Parameter, ...]] = GUIDED

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        return _step("ddpm", self, values, state, setting)


@dataclass(frozen=True)
class FamilyTilt(Model):
    """The family model if guidance sampled p_c^w p_u^(1-w), which it does not."""

    theory: ClassVar[str] = "family tilt"
    own: ClassVar[tuple[Parameter, ...]] = tuple(p for p in GUIDED if p is not COHERENCE)

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        return _step("tilt", self, {**values, "coherence": jnp.ones(())}, state, setting)
