"""Selection on images as quantitative genetics knows it, and its absence."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from analysis.models._base import Link, Model, Parameter, Setting, Values
from analysis.models._parts import (
    HERITABILITY,
    MUTATION,
    WITHIN_HERITABILITY,
    inherited,
    measured,
)
from qtm import Directional, Families, Moments, Stabilizing, Truncation

_COMMON = (HERITABILITY, WITHIN_HERITABILITY, MUTATION)
# Where there is no guidance there is no selection: strengths below this are none.
_NONE = 1e-6


@dataclass(frozen=True)
class RefitDrift(Model):
    """No selection: regression to the base, mutation, and the drift of n images a prompt."""

    theory: ClassVar[str] = "refit drift"
    own: ClassVar[tuple[Parameter, ...]] = _COMMON
    links: ClassVar[tuple[Link, ...]] = ()

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        return measured(values, inherited(values, state, setting), setting)


@dataclass(frozen=True)
class TruncationSelection(Model):
    """In every family the top fraction p = exp(-x(w)) survives, with regression and mutation.

    S = i sqrt(V), V* = V (1 - k) (Bulmer 1971); the top is where the component's mean moved.
    """

    theory: ClassVar[str] = "truncation"
    own: ClassVar[tuple[Parameter, ...]] = _COMMON

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        fraction = jnp.exp(-jnp.clip(self.excess(values, setting.scale, setting), 1e-9, 12.0))
        after = Truncation(fraction).moments(Moments(jnp.zeros_like(learnt.mean), learnt.within))
        mean = learnt.mean + setting.direction * after.mean
        return measured(values, Families(mean, after.variance, learnt.between), setting)


@dataclass(frozen=True)
class StabilizingSelection(Model):
    """Gaussian stabilizing selection of squared width 1/x(w) around generation 0's mean, on all.

    V* = V w2/(V + w2) within families, whose means come nearer by w2/(V + w2) (Lande 1976).
    """

    theory: ClassVar[str] = "stabilizing"
    own: ClassVar[tuple[Parameter, ...]] = _COMMON

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        width2 = 1 / jnp.maximum(self.excess(values, setting.scale, setting), _NONE)
        after = Stabilizing(jnp.zeros(()), width2).moments(Moments(learnt.mean, learnt.within))
        nearer = width2 / (learnt.within + width2)
        return measured(
            values,
            Families(after.mean, after.variance, jnp.square(nearer) * learnt.between),
            setting,
        )


@dataclass(frozen=True)
class DirectionalSelection(Model):
    """Fitness exp(b z) with gradient b = x(w): the mean moves by b V_W, variances stay."""

    theory: ClassVar[str] = "directional"
    own: ClassVar[tuple[Parameter, ...]] = _COMMON

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        learnt = inherited(values, state, setting)
        gradient = self.excess(values, setting.scale, setting) * setting.direction
        after = Directional(gradient).moments(Moments(learnt.mean, learnt.within))
        return measured(values, Families(after.mean, after.variance, learnt.between), setting)
