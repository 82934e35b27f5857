"""Guided sampling as selection: the family model under three operators, with and without bounds."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from analysis.models._base import LINKS, Link, Model, Parameter, Setting, Values
from analysis.models._parts import (
    BOUND,
    DROP_UPTAKE,
    HERITABILITY,
    LEAK,
    MUTATION,
    UPTAKE,
    WITHIN_HERITABILITY,
    inherited,
    measured,
    unconditional,
)
from analysis.models._transport import Operator, transport
from qtm import Families

_GUIDED = (HERITABILITY, WITHIN_HERITABILITY, UPTAKE, DROP_UPTAKE, MUTATION)


def guided(
    operator: Operator, w, values: Values, learnt: Families, setting: Setting
) -> Families:
    """Return families after guided sampling away from the unconditional branch."""
    V_U = unconditional(values, learnt, setting)
    A, V_W = transport(operator, w, setting.noise, learnt.within, V_U)
    return Families(learnt.mean, V_W, jnp.square(A) * learnt.between)


@dataclass(frozen=True)
class FamilyDDIM(Model):
    """The family model under DDIM: V_W' = V_W^w V_U^(1-w), V_B' = A(w)^2 V_B, w = 1 + x(scale).

    A schedule of the scale takes its place level by level.
    """

    theory: ClassVar[str] = "family DDIM"
    own: ClassVar[tuple[Parameter, ...]] = _GUIDED
    links: ClassVar[tuple[Link, ...]] = ("exact", *LINKS)

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        w = 1 + self.excess(values, setting.scales)
        return measured(values, guided("ddim", w, values, learnt, setting), setting)


@dataclass(frozen=True)
class FamilyDDPM(Model):
    """The family model under DDPM, whose noise on the way selects twice as hard within families."""

    theory: ClassVar[str] = "family DDPM"
    own: ClassVar[tuple[Parameter, ...]] = _GUIDED

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        w = 1 + self.excess(values, setting.scales)
        return measured(values, guided("ddpm", w, values, learnt, setting), setting)


@dataclass(frozen=True)
class FamilyTilt(Model):
    """The family model if guidance sampled p_c^w p_u^(1-w), which it does not."""

    theory: ClassVar[str] = "family tilt"
    own: ClassVar[tuple[Parameter, ...]] = _GUIDED

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        w = 1 + self.excess(values, setting.scales)
        return measured(values, guided("tilt", w, values, learnt, setting), setting)


@dataclass(frozen=True)
class BoundedFamily(Model):
    """The family model under DDIM with what images can hold (`bound` on V_B) and a leak of prompts
    into each other."""

    theory: ClassVar[str] = "bounded family"
    own: ClassVar[tuple[Parameter, ...]] = (*_GUIDED, LEAK, BOUND)

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        w = 1 + self.excess(values, setting.scales)
        return measured(values, guided("ddim", w, values, learnt, setting), setting)


@dataclass(frozen=True)
class BoundedMixture(Model):
    """The bounded Gaussian mixture, its moments closed: exact scales, saturated by the mixture.

    At low noise an image shows its prompt, so conditional and unconditional score agree. With the
    distance D(t) = separation sum_j V_B,j/(V_W,j + t_j) of two of C prompts at the noise level,
    the share g = C/(C - 1 + e^D) of the scale beyond 1 acts there: w_eff = 1 + g (w - 1). The
    families themselves saturate guidance: the further apart, the less of it is left.
    """

    theory: ClassVar[str] = "bounded mixture"
    own: ClassVar[tuple[Parameter, ...]] = (
        *_GUIDED,
        LEAK,
        BOUND,
        Parameter(
            "separation", "independent components of an image by which prompts are told apart",
            "positive", 1e-3, 1e3, 5.0, 1.5, "arms with CFG scales between 1 and 5",
        ),
    )  # fmt: skip
    links: ClassVar[tuple[Link, ...]] = ()

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        apart = jnp.sum(learnt.between / (learnt.within + setting.noise), axis=1)
        C = setting.families
        # Beyond e^50 nothing is left to guide; the cut keeps derivatives finite.
        share = C / (C - 1 + jnp.exp(jnp.minimum(values["separation"] * apart, 50.0)))
        w = 1 + share * (setting.scales - 1)
        return measured(values, guided("ddim", w, values, learnt, setting), setting)


@dataclass(frozen=True)
class LogLinear(Model):
    """The family model's first order, each part with a strength of its own.

    ln V_W' = ln V_W - x(w) ln(V_U/V_W),  V_B' = (1 + spread x(w))^2 V_B up to the bound.
    """

    theory: ClassVar[str] = "log-linear"
    own: ClassVar[tuple[Parameter, ...]] = (
        *_GUIDED,
        LEAK,
        BOUND,
        Parameter(
            "spread", "how far guidance drives families apart beside how far it narrows them",
            "positive", 1e-3, 50.0, 1.0, 1.0, "arms with CFG scales other than 1",
        ),
    )  # fmt: skip

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        x = self.excess(values, setting.scale)
        V_U = unconditional(values, learnt, setting)
        V_W = learnt.within * jnp.exp(-x * jnp.log(V_U / learnt.within))
        A = 1 + values["spread"] * x
        after = Families(learnt.mean, V_W, jnp.square(A) * learnt.between)
        return measured(values, after, setting)
