"""Theories of collapse: what one generation does to the families of a trait.

A theory is one file here with one subclass of `Theory`. It says its parameters and the life cycle
(`qtm.LifeCycle`) that acts on every family; what is common to all (heritability towards the base
model, mutation, drift) is added around it. It is found by listing this package.
"""

import importlib
import math
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from qtm import Clonal, GaussianMutation, LifeCycle, Moments, Regression
from qtm.inheritance import Inheritance
from qtm.selection import Selection

Values = Mapping[str, Array]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a theory: its name, meaning and range.

    `domain` is "positive" (searched on a log scale), "share" (in (0, 1), on a logit scale) or
    "real"; `low` and `high` bound the search, in the parameter's own units.
    """

    name: str
    meaning: str
    domain: Literal["positive", "share", "real"]
    low: float
    high: float

    def to_real(self, value: float) -> float:
        """Map a value in the parameter's units to the scale it is searched on."""
        match self.domain:
            case "positive":
                return math.log(value)
            case "share":
                return math.log(value) - math.log1p(-value)
            case _:
                return value

    def from_real(self, x: Array) -> Array:
        """Map from the scale of the search to the parameter's units."""
        match self.domain:
            case "positive":
                return jnp.exp(x)
            case "share":
                return 1 / (1 + jnp.exp(-x))
            case _:
                return x


HERITABILITY = Parameter(
    "heritability", "share of the training set's mean that is taken up", "share", 0.01, 0.9999
)
MUTATION = Parameter(
    "mutation", "variance added each generation, in V of generation 0", "positive", 1e-6, 2.0
)
EFFECTIVE = Parameter(
    "effective_share", "N_e/N: drift is as if only this share of the images counted", "share",
    1e-3, 0.9999,
)  # fmt: skip


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Families:
    """The families of one generation: means [C, D], within-family variance [D] (ddof = 0)."""

    means: Array
    within: Array


class Theory(ABC):
    """One generation under a theory: inherit (finetune) -> select (guided sampling) -> mutate.

    Drift, the sampling of N images, is in the likelihood: the images that are measured are the
    very ones that the next generation learns from.
    """

    name: str
    parameters: tuple[Parameter, ...]
    # Whether parents come with the variance as measured (ddof = 1), or as that of the very images
    # that are learnt from (ddof = 0).
    as_measured: bool = False

    @abstractmethod
    def selection(self, values: Values, families: Families, direction: Array) -> Selection:
        """Return the selection that acts on families as they were inherited.

        `direction` [D] is +1 or -1: which way the mean of each component moved.
        """

    def produce(
        self, values: Values, parents: Families, base: Families, restarts: bool, direction: Array
    ) -> Families:
        """Return the expected families of the next generation.

        Where every generation restarts from the base model, families regress to the base's, here
        taken to be those of generation 0.
        """

        def inheritance(base_mean: Array) -> Inheritance:
            if not restarts:
                return Clonal()
            return Regression(values["heritability"], base_mean, base.within)

        inherited = inheritance(base.means).moments(Moments(parents.means, parents.within))
        learnt = Families(inherited.mean, inherited.variance.mean(axis=0))
        selection = self.selection(values, learnt, direction)
        mutation = GaussianMutation(values["mutation"])

        # Family by family, because all have one variance: what depends on it alone is then
        # computed once, which for guidance (a quadrature) is nearly everything.
        def one(mean: Array, base_mean: Array) -> Moments:
            cycle = LifeCycle(inheritance(base_mean), selection, mutation)
            return cycle.step(Moments(mean, parents.within))

        after = jax.vmap(one)(parents.means, base.means)
        return Families(after.mean, after.variance.mean(axis=0))

    def all_parameters(self, restarts: bool) -> tuple[Parameter, ...]:
        """Return the theory's own parameters and those that all theories share."""
        shared = (HERITABILITY, MUTATION) if restarts else (MUTATION,)
        return (*self.parameters, *shared, EFFECTIVE)


def every_theory() -> dict[str, Theory]:
    """Return an instance of each theory by name, found by listing this package."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return {theory.name: theory() for theory in sorted(_leaves(), key=lambda leaf: leaf.name)}


def _leaves() -> list[type[Theory]]:
    return [leaf for leaf in Theory.__subclasses__() if leaf.__module__.startswith(__name__)]
