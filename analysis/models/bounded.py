"""The family model with what it missed: the bound of images, confused prompts, saturation."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from analysis.models._base import LINKS, Link, Model, Parameter, Setting, Values
from analysis.models._parts import BOUND, COHERENCE, CONFUSION, inherited, measured, unconditional
from analysis.models.family import GUIDED, guided
from qtm import Families

_BOUNDED = (*GUIDED, CONFUSION, BOUND)


@dataclass(frozen=True)
class BoundedFamily(Model):
    """The family model under DDIM, V_B bounded by what images can hold, prompts confused."""

    theory: ClassVar[str] = "bounded family"
    own: ClassVar[tuple[Parameter, ...]] = _BOUNDED

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        w = 1 + self.excess(values, setting.scales, setting)
        return measured(values, guided("ddim", w, values, learnt, setting), setting)


@dataclass(frozen=True)
class LateGuidance(Model):
    """The bounded family whose guidance takes hold late: w - 1 is scaled by 1/(1 + t/t_late) at the
    noise variance t."""

    theory: ClassVar[str] = "late guidance"
    own: ClassVar[tuple[Parameter, ...]] = (
        *_BOUNDED,
        Parameter(
            "late", "noise variance below which guidance takes hold, in that of leading axes",
            "positive", 1e-3, 1e4, 3.0, 1.0,
            "arms in which the guidance scale changes while sampling",
        ),
    )  # fmt: skip

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        hold = 1 / (1 + setting.noise / (values["late"] * values["coherence"]))
        w = 1 + hold * self.excess(values, setting.scales, setting)[:, None]
        return measured(values, guided("ddim", w, values, learnt, setting), setting)


@dataclass(frozen=True)
class BoundedMixture(Model):
    """The bounded Gaussian mixture, its moments closed.

    At low noise an image shows its prompt, so conditional and unconditional score agree. With the
    distance D(t) = separation mean_j V_B,j/(V_W,j + t_j) of C prompts at the noise level, the share
    g = C/(C - 1 + e^D) of the scale beyond 1 acts there: w - 1 = g x(scale). The families
    themselves saturate guidance: the further apart, the less of it is left. With the link ``exact``
    this is all that weakens it.
    """

    theory: ClassVar[str] = "bounded mixture"
    own: ClassVar[tuple[Parameter, ...]] = (
        *_BOUNDED,
        Parameter(
            "separation", "independent axes by which prompts are told apart",
            "positive", 1e-3, 1e3, 2.0, 1.0, "arms with CFG scales between 1 and 5",
        ),
    )  # fmt: skip
    links: ClassVar[tuple[Link, ...]] = ("exact", *LINKS)

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        noise = setting.noise / values["coherence"]
        apart = jnp.mean(learnt.between / (learnt.within + noise), axis=1)
        C = setting.families
        # Beyond e^50 nothing is left to guide; the cut keeps derivatives finite.
        share = C / (C - 1 + jnp.exp(jnp.minimum(values["separation"] * apart, 50.0)))
        w = 1 + share * self.excess(values, setting.scales, setting)
        return measured(values, guided("ddim", w, values, learnt, setting), setting)


@dataclass(frozen=True)
class LogLinear(Model):
    """The bounded family's first order, each part with a strength of its own.

    ln V_W' = ln V_W - x(w) ln(V_U/V_W),  V_B' = (1 + spread x(w))^2 V_B,  w the mean over levels.
    """

    theory: ClassVar[str] = "log-linear"
    own: ClassVar[tuple[Parameter, ...]] = (
        *(p for p in _BOUNDED if p is not COHERENCE),
        Parameter(
            "spread", "how far guidance drives families apart beside how far it narrows them",
            "positive", 1e-3, 50.0, 1.0, 1.0, "arms with CFG scales other than 1",
        ),
    )  # fmt: skip

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        x = self.excess(values, setting.scale, setting)
        V_U = unconditional(values, learnt, setting)
        V_W = learnt.within * jnp.exp(-x * jnp.log(V_U / learnt.within))
        after = Families(learnt.mean, V_W, jnp.square(1 + values["spread"] * x) * learnt.between)
        return measured(values, after, setting)
