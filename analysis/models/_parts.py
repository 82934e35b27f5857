"""Parameters of theories, and the cycle of families that theories construct."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from jax import Array

from analysis.models._base import Model, Parameter, Setting, Values
from qtm import AtLevels, Families, FamilyCycle

HERITABILITY = Parameter(
    "heritability", "fraction of a prompt's deviation from the mean that finetuning learns",
    "fraction", 0.01, 0.9999, 0.9, 1.0, "an arm near the neutral scale, and more generations",
)  # fmt: skip
WITHIN_HERITABILITY = Parameter(
    "within_heritability", "fraction of the change of V_W that finetuning learns",
    "fraction", 0.01, 0.9999, 0.85, 1.0, "an arm in which V_W moves far from generation 0",
)  # fmt: skip
MUTATION = Parameter(
    "mutation_variance", "variance added to V_W each generation, in V of generation 0",
    "positive", 1e-5, 2.0, 0.002, 1.5, "an arm without guidance (CFG scale 1)",
)  # fmt: skip
UPTAKE = Parameter(
    "uptake", "how far the unconditional branch follows the data by itself",
    "fraction", 1e-3, 0.999, 0.2, 1.0, "arms in which V_W + V_B moves far from generation 0",
)  # fmt: skip
DROP_UPTAKE = Parameter(
    "drop_uptake", "rate at which condition drop makes the unconditional branch follow: it stays "
    "with the base by the factor exp(-rate probability)",
    "positive", 1e-3, 100.0, 3.0, 1.5, "an arm with condition drop",
)  # fmt: skip
DROP_MUTATION = Parameter(
    "drop_mutation", "variance that condition drop adds to V_W each generation, per unit of "
    "probability, in V of generation 0",
    "positive", 1e-5, 5.0, 0.002, 1.5, "an arm with condition drop",
)  # fmt: skip
CONFUSION = Parameter(
    "confusion", "fraction of images that resemble another prompt",
    "fraction", 1e-4, 0.9, 0.02, 1.0, "an arm without guidance (CFG scale 1)",
)  # fmt: skip
COHERENCE = Parameter(
    "coherence", "variance of the axes along which images vary, relative to the leading ones: "
    "it sets the noise levels that matter to a trait",
    "positive", 0.01, 1e3, 1.0, 0.5, "arms in which the guidance scale changes while sampling",
)  # fmt: skip
BOUND = Parameter(
    "bound", "largest V_B that images can have, in V of generation 0",
    "positive", 0.2, 500.0, 3.0, 0.7, "arms with CFG scales of 5 and more until V_B settles",
)  # fmt: skip


@dataclass(frozen=True)
class Theory(Model):
    """A model that constructs a `qtm.FamilyCycle`, which defines a generation."""

    @abstractmethod
    def cycle(self, values: Values, setting: Setting) -> FamilyCycle:
        """Return the life cycle of families in one generation of one arm."""

    def step(self, values: Values, state: Families, setting: Setting) -> Families:
        return self.cycle(values, setting).step(state)


def families(
    values: Values, setting: Setting, scale: Array | AtLevels | None = None, **parts: Any
) -> FamilyCycle:
    """Return the cycle of families with the parameters that a theory has, in the setting of an arm.

    `scale` and `parts` are the keywords of `FamilyCycle` that a theory sets itself. The mean of the
    unconditional branch is that of families as inherited (`mean_uptake`), so that guidance leaves
    the mean of all images alone.
    """
    return FamilyCycle(
        heritability=values["heritability"],
        within_heritability=values["within_heritability"],
        mutation_variance=values["mutation_variance"],
        uptake=values.get("uptake", 0.0),
        drop_uptake=values.get("drop_uptake", 0.0),
        drop_mutation=values.get("drop_mutation", 0.0),
        confusion=values.get("confusion", 0.0),
        bound=values.get("bound"),
        mean_uptake=1.0,
        scale=scale,
        base=setting.base,
        real_share=setting.real,
        training_noise=setting.mutation,
        condition_drop=setting.dropped,
        size=setting.family_size,
        **parts,
    )


def at_levels(values: Values, setting: Setting, excess: Array, **laws: Array) -> AtLevels:
    """Return the scale 1 + `excess` [L] at the noise levels of a sampler, beside the variance of
    the axes along which images vary; `laws` are keywords of `AtLevels`."""
    return AtLevels(1 + excess, setting.noise / values["coherence"], **laws)
