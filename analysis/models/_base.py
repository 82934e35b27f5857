"""Common to all models: parameters, the setting of one generation, the verbs."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real
from scipy.stats import truncnorm

from qtm import Families

Values = Mapping[str, Float[Array, "..."]]
Link = Literal["exact", "linear", "log", "saturating"]
LINKS: tuple[Link, ...] = ("linear", "log", "saturating")
EVERY_LINK: tuple[Link, ...] = ("exact", *LINKS)


@dataclass(frozen=True)
class Parameter:
    """A parameter: its name, meaning with its unit, range and prior.

    `domain` is "positive" (searched on a log scale), "inverse" (positive, as 1/value), "fraction"
    (in (0, 1), on a logit scale) or "real"; `low` and `high` bound the search, in the parameter's
    units. The prior is normal on the scale of the search, with median `typical` and standard
    deviation `spread`, truncated at the bounds; maximum likelihood hardly uses it. Medians are near
    the estimates from the kept chains of the embedded model, spreads are factors of 2 to 4 around
    them. `from_data` names the data that would identify the parameter.
    """

    name: str
    meaning: str
    domain: Literal["positive", "inverse", "fraction", "real"]
    low: float
    high: float
    typical: float
    spread: float
    from_data: str = "more generations or seeds"

    def to_real(self, value: float) -> float:
        """Map a value in the parameter's units to the scale it is searched on."""
        match self.domain:
            case "positive":
                return float(np.log(value))
            case "inverse":
                return 1 / value
            case "fraction":
                return float(np.log(value) - np.log1p(-value))
            case _:
                return value

    @property
    def limits(self) -> tuple[float, float]:
        """The bounds on the scale of the search, in order."""
        ends = self.to_real(self.low), self.to_real(self.high)
        return min(ends), max(ends)

    @property
    def prior_std(self) -> float:
        """Standard deviation of the prior on the scale of the search, cut off at the bounds."""
        centre = self.to_real(self.typical)
        low, high = ((bound - centre) / self.spread for bound in self.limits)
        return float(truncnorm(low, high).std() * self.spread)

    def from_real(self, x):
        """Map from the scale of the search to the parameter's units."""
        match self.domain:
            case "positive":
                return jnp.exp(x)
            case "inverse":
                return 1 / x
            case "fraction":
                return 1 / (1 + jnp.exp(-x))
            case _:
                return x


def priors(
    parameters: Sequence[Parameter],
) -> tuple[
    Float[np.ndarray, " k"],
    Float[np.ndarray, " k"],
    Float[np.ndarray, " k"],
    Float[np.ndarray, " k"],
]:
    """Return bounds below and above, medians and standard deviations of priors [k] each, all on
    the scale of the search."""
    rows = [(*p.limits, p.to_real(p.typical), p.spread) for p in parameters]
    low, high, typical, spread = np.transpose(rows)
    return low, high, typical, spread


def values_of(
    parameters: Sequence[Parameter], x: Float[Array, "k ..."]
) -> dict[str, Float[Array, "..."]]:
    """Map a vector, or several as columns, on the scale of the search to values by name."""
    return {p.name: p.from_real(x[i]) for i, p in enumerate(parameters)}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Setting:
    """The conditions of one generation of one arm.

    `base` are generation 0's families [D]; `scales` [L] is w at the noise levels of variance
    `noise` [L, D]; `scale` the scale that replaces all of them in a model with one number;
    `dropped`, `real`, `mutation` [D] and `family_size` as in `Arm`; `direction` [D] is +1 or -1,
    the direction in which the mean of a component moved in the fitted data, and `trend` [3, D] the
    mean step of mean, ln V_W and ln V_B there, interpolated between CFG scales for a held-out arm.
    """

    base: Families
    scales: Float[Array, "*n L"]
    noise: Float[Array, "*n L D"]
    scale: Float[Array, "*n"]
    dropped: Float[Array, "*n"] | float
    real: Float[Array, "*n"] | float
    mutation: Float[Array, "*n D"]
    family_size: Float[Array, "*n"]
    families: Float[Array, "*n"]
    stochastic: Float[Array, "*n"]
    direction: Float[Array, "*n D"]
    trend: Float[Array, "*n 3 D"]
    link: Real[Array, "*n"]


@dataclass(frozen=True)
class Model(ABC):
    """A theory of collapse: how the families of one generation follow from the previous.

    `link` maps the CFG scale to strength of selection. All parameters are shared by all arms.
    Sampling error and the process variance are not the model's but the likelihood's.
    """

    link: Link = "saturating"

    # The name of the theory, its parameters without those of the link, and the links to compare:
    # none where the scale does not enter.
    theory: ClassVar[str]
    theory_parameters: ClassVar[tuple[Parameter, ...]]
    links: ClassVar[tuple[Link, ...]] = LINKS
    # A naive theory is a baseline. The `taken` numbers copied from the data for each arm and
    # component count as parameters.
    naive: ClassVar[bool] = False
    taken: ClassVar[int] = 0

    @abstractmethod
    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        """Return the expected families of the next measurement."""

    @classmethod
    def variants(cls) -> "list[Model]":
        """Return the model with each of its links."""
        return [cls(link) for link in cls.links] if cls.links else [cls()]

    @property
    def name(self) -> str:
        """The theory with its link."""
        return f"{self.theory}, {self.link}" if len(self.links) > 1 else self.theory

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters of the theory, and those of the link."""
        if not self.links or self.link == "exact":
            return self.theory_parameters
        return (
            *self.theory_parameters,
            STRENGTH,
            *((SATURATION,) if self.link == "saturating" else ()),
        )

    @property
    def general(self) -> "Model":
        """The model with the link that has all parameters, compiled once for every link."""
        return replace(self, link="saturating")

    def excess(
        self, values: Values, w: Float[Array, "..."], setting: Setting
    ) -> Float[Array, "..."]:
        """Compute the strength of selection by a CFG scale: 0 at w = 1.

        w - 1 (``exact``);  s (w - 1) (``linear``);  s ln w (``log``);
        s (w - 1)/(1 + |w - 1|/c) (``saturating``, c the scale beyond 1 of half the ceiling s c).
        """
        beyond, s = w - 1, values.get("strength", 1.0)
        bent = beyond / (1 + jnp.abs(beyond) / values["saturation"])
        strengths = (beyond, s * beyond, s * jnp.log(jnp.maximum(w, 0.05)), s * bent)
        return jnp.select([setting.link == i for i in range(3)], strengths[:3], strengths[3])


STRENGTH = Parameter(
    "strength", "strength of selection per unit of CFG scale, relative to exact scores",
    "positive", 1e-4, 20.0, 0.45, 0.7, "arms with CFG scales other than 1",
)  # fmt: skip
SATURATION = Parameter(
    "saturation", "CFG scale beyond 1 at which half of the strongest selection is reached",
    "positive", 0.05, 200.0, 4.0, 0.7, "arms with CFG scales of 5 and more",
)  # fmt: skip
