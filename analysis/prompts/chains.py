"""The prompts of a chain along the leading axes of the latents, generation by generation."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from analysis.prompts.conditions import LEVELS, conditions, described, log_scales, sources, unlike
from analysis.prompts.groups import Groups
from empirical.errors import UserError
from empirical.recipe import Settings


@dataclass(frozen=True)
class Trait:
    """A trait of a chain's prompts: their means [T, C], and its V_W [T], pooled over prompts; the
    same of the base model's images without guidance, `base_means` [C] and `base_within`.

    `is_within` says whether `within` is a V_W, which finetuning renews and guidance narrows, and
    does not stand for another variance.
    """

    means: Float[np.ndarray, "T C"]
    within: Float[np.ndarray, " T"]
    base_means: Float[np.ndarray, " C"]
    base_within: float
    is_within: bool = True

    @property
    def between(self) -> Float[np.ndarray, " T"]:
        """V_B [T], the variance of prompt means (ddof 1)."""
        return self.means.var(axis=1, ddof=1)

    @property
    def deviation(self) -> float:
        """The standard deviation of images in generation 0."""
        return float(np.sqrt(self.within[0] + self.between[0]))


@dataclass(frozen=True)
class PromptChain:
    """C prompts, or groups of prompts, in K axes over T = G + 1 generations.

    `groups` says which caption belongs to which; `counts` [C] are the images of each; `means`
    [T, C, K] and `within` [T, C, K, K] their means and covariances (ddof 1); `base_means` and
    `base_within` those of the base model without guidance, of real images where a run has no such
    draws; `unguided` [T, C, K] are means of what the model of each generation draws without
    guidance, None where a run has no such draws;
    `scales` [G, L] is the guidance w from each of `LEVELS` to the next, `label` that of the recipe;
    `training_set` and `real_fraction` are those of ``finetune``, `dropped` is the probability of
    condition drop; `conditions` are the other settings of the recipe, but for its seed: the theory
    knows no effect of theirs. `traits` are those of one component whose prompt means the run has.
    """

    name: str
    seed: int
    label: float
    groups: Groups
    counts: Float[np.ndarray, " C"]
    means: Float[np.ndarray, "T C K"]
    within: Float[np.ndarray, "T C K K"]
    base_means: Float[np.ndarray, "C K"]
    base_within: Float[np.ndarray, "C K K"]
    scales: Float[np.ndarray, "G L"]
    training_set: str
    real_fraction: float
    dropped: float
    conditions: str
    traits: dict[str, Trait]
    unguided: Float[np.ndarray, "T C K"] | None = None

    @property
    def strengths(self) -> Float[np.ndarray, " G"]:
        """ln w of every generation [G], averaged over noise levels."""
        return log_scales(self.scales).mean(axis=1)

    @property
    def generations(self) -> int:
        """Number of generations after generation 0, of the recipe's guidance (`scales`)."""
        return len(self.scales)

    @property
    def captions(self) -> tuple[str, ...]:
        """The prompts, or a prompt of each group."""
        return self.groups.names

    @property
    def noise(self) -> Float[np.ndarray, " L"]:
        """The noise at each of the scales [L], in standard deviations of real images (root mean
        square over axes)."""
        return np.asarray(LEVELS.levels)[:-1] / np.sqrt(self.unit.mean())

    @property
    def unit(self) -> Float[np.ndarray, " K"]:
        """The variance of real images along each axis, V_W + V_B [K]."""
        pooled = np.diagonal(self.within[0].mean(axis=0))
        return pooled + self.means[0].var(axis=0, ddof=1)

    @property
    def plain(self) -> bool:
        """Whether the scale is constant, and the chain has no remedy."""
        replaced = self.training_set == "replace"
        return replaced and not self.dropped and bool(np.ptp(self.scales) == 0)

    @property
    def sources(self) -> Float[np.ndarray, "G G"]:
        """The fraction [t, j] of training set t, of generation t + 1, that is of generation j."""
        return sources(self.training_set, self.real_fraction, self.generations)

    def learnt_from(
        self, values: Sequence[Float[np.ndarray, "*n"]], transition: int
    ) -> Float[np.ndarray, "*n"]:
        """Return the mean of `values`, those of generations 0 to `transition` or later, over the
        training set from which generation `transition` + 1 is learnt."""
        t = transition + 1
        return np.tensordot(self.sources[transition, :t], np.asarray(values[:t]), axes=1)

    def planned(self, scale: float, generations: int) -> "PromptChain":
        """Return the chain that begins with the same real images, at another CFG scale, without a
        remedy."""
        scales = np.full((generations, self.scales.shape[1]), float(scale))
        return replace(
            self.until(0),
            name=f"CFG {scale:g}",
            label=float(scale),
            scales=scales,
            training_set="replace",
            real_fraction=0.0,
            dropped=0.0,
        )

    def planned_by(self, settings: Settings, generations: int) -> "PromptChain":
        """Return the chain that begins with the same real images, by the settings of a recipe.

        Raises `UserError` for guidance that is not a schedule of the scale, and for other settings
        than those of this chain where the theory knows no effect of theirs.
        """
        differing = unlike(self.conditions, conditions(settings))
        if differing:
            names = " and ".join(f"'{name}'" for name in differing)
            raise UserError(
                f"a chain by the recipe cannot be predicted from the run '{self.name}', whose "
                f"{names} differ in more than guidance, training sets and condition drop"
            )
        return replace(
            self.until(0),
            name="the recipe",
            label=float(settings.generate.guidance.scale),
            **described(settings, generations, "the recipe"),
        )

    def alike(self, other: "PromptChain") -> bool:
        """Return whether both are guided and trained alike, as far as both go."""
        G = min(self.generations, other.generations)
        settings = lambda chain: (chain.training_set, chain.real_fraction, chain.dropped)
        return settings(self) == settings(other) and np.array_equal(
            self.scales[:G], other.scales[:G]
        )

    def limited(self, names: Collection[str]) -> "PromptChain":
        """Return the chain with these of its traits alone, in this order."""
        return replace(self, traits={name: self.traits[name] for name in names})

    def until(self, generations: int) -> "PromptChain":
        """Return the chain up to a generation."""
        T = generations + 1
        return replace(
            self,
            means=self.means[:T],
            within=self.within[:T],
            scales=self.scales[:generations],
            unguided=None if self.unguided is None else self.unguided[:T],
            traits={
                name: replace(trait, means=trait.means[:T], within=trait.within[:T])
                for name, trait in self.traits.items()
            },
        )


def common_traits(chains: Sequence[PromptChain]) -> list[str]:
    """Return the names of the traits that all chains have, in alphabetical order."""
    return sorted(set.intersection(*(set(chain.traits) for chain in chains)))
