"""Life cycles that may explain a trait series: one class per form of selection.

A series of sample means and variances is explained by `qtm.LifeCycle` itself: the start,
selection, mutation and, if a population size is given, drift. To add a form, write a class here
that states its parameters and its `qtm` selection; fits, tables, the command line and the tests
find it by themselves.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Real

import qtm
from analysis.models import Parameter
from analysis.trait_series.series import TraitSeries
from qtm.selection import Selection

Values = Mapping[str, Float[Array, "..."] | float]

# Priors are weak, and flat on the scales on which data are informative: V changes by
# V_m - V^2/omega^2 per generation, and drifts by V/N, so mutation and the inverses of width and
# population size have half-normal priors at 0: no selection, no mutation, no drift. (With priors
# flat in the logarithms, 90 % intervals contained the truth in 84 %.)
_NONE = 1e12


class _Line(eqx.Module):
    """The schedule start + rate t."""

    start: Float[Array, ""] | float
    rate: Float[Array, ""] | float

    def __call__(self, t: Real[Array, ""]) -> Float[Array, ""]:
        return self.start + self.rate * t


@dataclass(frozen=True)
class Scale:
    """The units of a series, from which ranges and priors of parameters follow.

    `centre` is the mean of the sample means, `spread` their range and one standard deviation of the
    trait, `variance` the pooled variance, `first` and `first_variance` the first sample,
    `generations` the time from first to last.
    """

    centre: float
    spread: float
    variance: float
    first: float
    first_variance: float
    generations: float

    @classmethod
    def from_series(cls, s: TraitSeries) -> "Scale":
        """Read the units from a series."""
        pooled = s.pooled_variance
        known = pooled if s.lone[0] else s.variance[0]
        return cls(
            float(s.mean.mean()),
            float(np.ptp(s.mean) + np.sqrt(pooled)),
            pooled,
            float(s.mean[0]),
            float(known),
            float(s.time[-1] - s.time[0]),
        )


def _place(name: str, meaning: str, scale: Scale, typical: float, width: float) -> Parameter:
    """Return a parameter in trait units with a prior standard deviation of 3 `width`."""
    return Parameter(
        name, meaning, "real", typical - 30 * width, typical + 30 * width, typical, 3 * width
    )


def _around(optimum: str, width: str, scale: Scale) -> tuple[Parameter, Parameter]:
    """Return the optimum and the width of a fitness function, with their meanings."""
    V = scale.variance
    return (
        _place("optimum", f"{optimum}, trait units", scale, scale.centre, scale.spread),
        Parameter("width2", f"{width}, omega^2, trait units squared", "inverse", 1e-2 * V,
                  _NONE * V, _NONE * V, 1 / V),
    )  # fmt: skip


@dataclass(frozen=True)
class CycleModel(ABC):
    """A form of selection with its parameters; start, mutation and drift are common to all."""

    theory: ClassVar[str]
    # The theories that this one contains, at the values of `idle`.
    contains: ClassVar[tuple[str, ...]] = ()

    def log_prior(
        self, values: Mapping[str, Float[np.ndarray, " n"]]
    ) -> Float[np.ndarray, " n"] | float:
        """Return the joint part of the log prior of the parameters, up to a constant."""
        return 0.0

    @abstractmethod
    def selection_parameters(self, scale: Scale) -> tuple[Parameter, ...]:
        """Return the parameters of selection, with ranges and priors in the units of a series."""

    @abstractmethod
    def selection(self, values: Values) -> Selection:
        """Return the selection at parameter values."""

    def idle(self, scale: Scale) -> dict[str, float]:
        """Return the values of selection parameters at which the contained theories result."""
        return {}

    @classmethod
    def variants(cls) -> "tuple[CycleModel, ...]":
        """Return the variants of the form; the likeliest represents it."""
        return (cls(),)

    def parameters(self, scale: Scale, drifts: bool = False) -> tuple[Parameter, ...]:
        """Return all parameters: the start, those of selection, mutation, population size."""
        V = scale.variance
        return (
            _place("start_mean", "mean at the first time, trait units", scale, scale.first,
                   scale.spread),
            Parameter("start_variance", "variance at the first time, trait units squared",
                      "positive", 1e-4 * V, 1e4 * V, scale.first_variance, 2.0),
            *self.selection_parameters(scale),
            Parameter("mutation_variance", "variance that mutation adds per generation, trait "
                      "units squared", "real", 0.0, 10 * V, 0.0, V),
            *([POPULATION_SIZE] if drifts else []),
        )  # fmt: skip

    def cycle(self, values: Values) -> qtm.LifeCycle:
        """Return the life cycle at parameter values, without drift."""
        mutation = qtm.GaussianMutation(values["mutation_variance"])
        return qtm.LifeCycle(selection=self.selection(values), mutation=mutation)


POPULATION_SIZE = Parameter(
    "population_size", "number of reproducing individuals, whose sampling is drift", "inverse",
    3.0, _NONE, _NONE, 0.05,
)  # fmt: skip


class Neutral(CycleModel):
    """No selection: m' = m, V' = V + V_m."""

    theory = "neutral"

    def selection_parameters(self, scale: Scale) -> tuple[Parameter, ...]:
        return ()

    def selection(self, values: Values) -> Selection:
        return qtm.Neutral()


@dataclass(frozen=True)
class Truncation(CycleModel):
    """The top (or bottom) fraction survives."""

    theory = "truncation"
    contains = ("neutral",)
    tail: Literal["upper", "lower"] = "upper"

    @classmethod
    def variants(cls) -> tuple[CycleModel, ...]:
        return cls("upper"), cls("lower")

    def selection_parameters(self, scale: Scale) -> tuple[Parameter, ...]:
        side = "top" if self.tail == "upper" else "bottom"
        meaning = f"fraction of the population that survives, from the {side}"
        return (Parameter("fraction", meaning, "fraction", 1e-6, 1 - 1e-9, 0.8, 1.5),)

    def selection(self, values: Values) -> Selection:
        return qtm.Truncation(values["fraction"], self.tail)

    def idle(self, scale: Scale) -> dict[str, float]:
        return {"fraction": 1 - 1e-9}


class Directional(CycleModel):
    """Fitness exp(b z)."""

    theory = "directional"
    contains = ("neutral",)

    def selection_parameters(self, scale: Scale) -> tuple[Parameter, ...]:
        # The gradient that moves the mean by the range of the series over its length.
        typical = scale.spread / (scale.variance * scale.generations)
        meaning = "selection gradient: slope of log fitness, per trait unit"
        return (_place("gradient", meaning, scale, 0.0, typical),)

    def selection(self, values: Values) -> Selection:
        return qtm.Directional(values["gradient"])

    def idle(self, scale: Scale) -> dict[str, float]:
        return {"gradient": 0.0}


class Stabilizing(CycleModel):
    """Gaussian fitness around an optimum."""

    theory = "stabilizing"
    contains = ("neutral",)

    def selection_parameters(self, scale: Scale) -> tuple[Parameter, ...]:
        return _around("trait value of highest fitness", "width of the fitness function", scale)

    def selection(self, values: Values) -> Selection:
        return qtm.Stabilizing(values["optimum"], values["width2"])

    def idle(self, scale: Scale) -> dict[str, float]:
        return {"optimum": scale.centre, "width2": _NONE * scale.variance}


class Disruptive(CycleModel):
    """Fitness that grows away from a worst value."""

    theory = "disruptive"
    contains = ("neutral",)

    def log_prior(
        self, values: Mapping[str, Float[np.ndarray, " n"]]
    ) -> Float[np.ndarray, " n"] | float:
        # Flat in theta/omega^2, the push away from the worst value, not in theta: weak selection
        # allows a wider range of worst values, which would favour weak selection.
        return -np.log(values["width2"])

    def selection_parameters(self, scale: Scale) -> tuple[Parameter, ...]:
        return _around("trait value of lowest fitness", "width of the valley of fitness", scale)

    def selection(self, values: Values) -> Selection:
        return qtm.Disruptive(values["optimum"], values["width2"])

    def idle(self, scale: Scale) -> dict[str, float]:
        return {"optimum": scale.centre, "width2": _NONE * scale.variance}


class MovingOptimum(CycleModel):
    """Gaussian fitness around an optimum that moves at a constant rate."""

    theory = "moving optimum"
    contains = ("stabilizing",)

    def selection_parameters(self, scale: Scale) -> tuple[Parameter, ...]:
        optimum, width2 = _around(
            "trait value of highest fitness at the first time",
            "width of the fitness function",
            scale,
        )
        meaning = "trait units by which the optimum moves per generation"
        rate = _place("optimum_rate", meaning, scale, 0.0, scale.spread / scale.generations)
        return optimum, rate, width2

    def selection(self, values: Values) -> Selection:
        moving = _Line(values["optimum"], values["optimum_rate"])
        return qtm.Stabilizing(moving, values["width2"])

    def idle(self, scale: Scale) -> dict[str, float]:
        return {"optimum_rate": 0.0}


def cycle_models() -> dict[str, type[CycleModel]]:
    """Return every form by the name of its theory, contained forms before those containing them."""
    return {cls.theory: cls for cls in CycleModel.__subclasses__()}
