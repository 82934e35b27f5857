"""A named result as it is reproduced: numbers beside those expected, and a picture of them."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

SIGMAS = 4.0
"""Standard errors within which a random number agrees with the expected one."""


@dataclass(frozen=True)
class Check:
    """A quantity computed by the project, and the number or the range that a source expects.

    `expected` is a number from a closed form; without one the result is known by sign and shape
    alone, as `above` < value < `below`. `standard_error` is that of a random `computed`, `accuracy`
    a bound on the other differences: discretisation, a limit not reached, terms that a closed form
    leaves out.
    """

    quantity: str
    computed: float
    expected: float | None = None
    above: float = -math.inf
    below: float = math.inf
    standard_error: float = 0.0
    accuracy: float = 0.0

    @property
    def tolerance(self) -> float:
        """The largest difference that counts as agreement: 4 standard errors and the accuracy."""
        return SIGMAS * self.standard_error + self.accuracy

    @property
    def holds(self) -> bool:
        """Whether the computed value agrees; beyond a bound it must lie by the tolerance."""
        if self.expected is not None:
            return abs(self.computed - self.expected) <= self.tolerance
        return self.above < self.computed - self.tolerance and (
            self.computed + self.tolerance < self.below
        )

    @property
    def expectation(self) -> str:
        """The expected number or range as text."""
        if self.expected is not None:
            return number(self.expected)
        if self.above == -math.inf:
            return f"< {number(self.below)}"
        if self.below == math.inf:
            return f"> {number(self.above)}"
        return f"{number(self.above)} to {number(self.below)}"

    @property
    def error(self) -> str:
        """The standard error, else the accuracy, as text."""
        if self.standard_error:
            return f"SE {self.standard_error:.1g}"
        return f"{self.accuracy:.0e}" if self.accuracy else "-"


@dataclass(frozen=True)
class Series:
    """One colour of a panel: a line of expected values, and marks of computed ones.

    `line` and `marks` are pairs of x and y `[n]`, or None; `errors` `[n]` are standard errors of
    the marks.
    """

    label: str
    line: tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]] | None = None
    marks: tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]] | None = None
    errors: Float[np.ndarray, " k"] | None = None


@dataclass(frozen=True)
class Panel:
    """A small picture of a result. Symbols between dollar signs in labels are formulas.

    `logarithmic` names the axes with a logarithmic scale: "", "x", "y" or "xy". `level` is the y of
    a horizontal line for a limit. `legend` is the place of the legend by its matplotlib name, or
    "above" for the room above all values. `ticks` name the places 0, 1, ... of x.
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    logarithmic: str = ""
    level: float | None = None
    legend: str = "above"
    ticks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reproduction:
    """The numbers of a named result and its panel."""

    checks: tuple[Check, ...]
    panel: Panel


def number(value: float) -> str:
    """Return a number with five significant digits."""
    return f"{value:.5g}"


def average(samples: Any) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Return mean and standard error over the last axis, of independent samples `[..., R]`."""
    values = np.asarray(samples, float)
    error = values.std(axis=-1, ddof=1) / math.sqrt(values.shape[-1])
    return np.asarray(values.mean(axis=-1)), np.asarray(error)


def of_samples(quantity: str, samples: Any, expected: float, accuracy: float = 0.0) -> Check:
    """Make the check of a mean of independent samples `[R]` against a number."""
    mean, error = average(samples)
    return Check(quantity, float(mean), expected, standard_error=float(error), accuracy=accuracy)


def curve(x: Any, y: Any) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return x and y `[n]` as a line or marks of a series; a number y is constant."""
    x = np.asarray(x, float)
    return x, np.broadcast_to(np.asarray(y, float), x.shape)
