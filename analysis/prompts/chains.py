"""The prompts of a chain along the leading axes of the latents, generation by generation."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from analysis.arms.levels import schedule
from analysis.prompts.groups import MOST, Groups, alike, single
from empirical.errors import UserError
from empirical.recipe import Settings
from empirical.remedies import Remedy
from empirical.runs.draws import Draw
from empirical.runs.prompts import Prompts, prompts_of_draw
from empirical.runs.record import Generation, Run
from qtm.mixture.levels import NoiseLevels

AXES = "latent_pc"
# Fewer steps than a sampler takes: the flow of a Gaussian prompt needs no more.
LEVELS = NoiseLevels.preserving(steps=20)
_VECTORS = (AXES, "latent", "classifier", "power_spectrum")
_LEAST = 2
# Scales of 0 and below count as this one, whose logarithm is finite.
_LEAST_SCALE = 0.05


@dataclass(frozen=True)
class Trait:
    """A trait of a chain's prompts: their means [T, C], and its V_W [T], pooled over prompts; the
    same of the base model's images without guidance, `base_means` [C] and `base_within`."""

    means: Float[np.ndarray, "T C"]
    within: Float[np.ndarray, " T"]
    base_means: Float[np.ndarray, " C"]
    base_within: float

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
        """The share of generation j in training set t, from which generation t + 1 is learnt."""
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
        ours, theirs = json.loads(self.conditions), json.loads(conditions(settings))
        unlike = [name for name in ours if ours[name] != theirs[name]]
        if unlike:
            raise UserError(
                f"a chain by the recipe cannot be predicted from the run '{self.name}', whose "
                f"{_and(unlike)} differ in more than guidance, training sets and condition drop"
            )
        scale = float(settings.generate.guidance.scale)
        return replace(
            self.planned(scale, generations),
            name="the recipe",
            **_described(settings, generations, "the recipe"),
        )

    def alike(self, other: "PromptChain") -> bool:
        """Return whether both are guided and trained alike, as far as both go."""
        G = min(self.generations, other.generations)
        settings = lambda chain: (chain.training_set, chain.real_fraction, chain.dropped)
        return settings(self) == settings(other) and np.array_equal(
            self.scales[:G], other.scales[:G]
        )

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


def log_scales(scales: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """Return ln w of CFG scales; those of 0 and below count as 0.05."""
    return np.log(np.maximum(scales, _LEAST_SCALE))


def chains(runs: Iterable[Run]) -> tuple[list[PromptChain], list[str]]:
    """Read the chains that one theory of prompts can describe; return them and why others were
    left out.

    All have the prompts, the axes, the traits and the generations of the first, and its settings
    but for guidance, training sets, condition drop and seed. Raises `UserError` where none is left.
    """
    read, left_out = [], []
    for run in runs:
        try:
            chain = prompt_chain(run)
        except UserError as error:
            left_out.append(str(error))
            continue
        if read and _shape(chain) != _shape(read[0]):
            left_out.append(
                f"the run '{run.name}' has other prompts, axes, traits, generations or "
                f"settings than '{read[0].name}'"
            )
            continue
        read.append(chain)
    if not read:
        raise UserError("; ".join(left_out) or "a theory of prompts needs a run")
    return _with_one_base(read), left_out


def _with_one_base(chains: list[PromptChain]) -> list[PromptChain]:
    """Return chains whose deviations are all from the base model's images, where one has them."""
    known = next((chain for chain in chains if chain.unguided is not None), None)
    if known is None:
        return chains
    return [
        chain
        if chain.unguided is not None
        else replace(
            chain,
            base_means=known.base_means,
            base_within=known.base_within,
            traits={
                name: replace(trait, base_means=of.base_means, base_within=of.base_within)
                for name, trait in chain.traits.items()
                for of in [known.traits[name]]
            },
        )
        for chain in chains
    ]


def _shape(chain: PromptChain) -> tuple[object, ...]:
    return chain.groups, chain.means.shape, tuple(chain.traits), chain.conditions


def conditions(settings: Settings) -> str:
    """Return the effective settings but those of seed, length and measuring, and those that the
    theory describes."""
    table = settings.model_dump(mode="json")
    for name in ("seed", "generations", "measure"):
        table.pop(name, None)
    table["generate"].pop("guidance")
    for name in ("training_set", "real_fraction", "condition_drop"):
        table["finetune"].pop(name)
    if _acts_by_settings(settings.remedy):
        table["remedy"] = None
    return json.dumps(table, sort_keys=True)


def _described(settings: Settings, generations: int, what: str) -> dict[str, Any]:
    """Return the fields of a chain whose effect the theory knows."""
    finetune = settings.finetune
    return {
        "scales": schedule(settings, generations, np.asarray(LEVELS.levels)[:-1], what),
        "training_set": finetune.training_set,
        "real_fraction": finetune.real_fraction,
        "dropped": finetune.condition_drop,
    }


def _acts_by_settings(remedy: Remedy | None) -> bool:
    """Return whether all that a remedy does is in the effective settings."""
    if remedy is None:
        return True
    return not remedy.latent_noise() and type(remedy).kept is Remedy.kept


def sources(kind: str, real_fraction: float, generations: int) -> Float[np.ndarray, "G G"]:
    """Return the share of every generation in every training set."""
    previous, first = np.eye(generations), np.zeros((generations, generations))
    first[:, 0] = 1.0
    if kind.startswith("accumulate"):
        so_far = np.tril(np.ones_like(first))
        return so_far / so_far.sum(axis=1, keepdims=True)
    real = {"mix": real_fraction, "real": 1.0}.get(kind, 0.0)
    return (1 - real) * previous + real * first


def prompt_chain(run: Run) -> PromptChain:
    """Read the prompts of a run; where most have one image, or they are very many, in `groups`.

    Raises `UserError` for a run without the leading axes of the latents of single images, with
    fewer than two prompts or groups, with other prompts in a later generation, or with guidance
    that is not a schedule of the scale.
    """
    generations = run.generations()
    if len(generations) < _LEAST:
        raise UserError(f"the run '{run.name}' has no generation after generation 0 to fit yet")
    groups = _groups(run)
    known = set(groups.members)
    for generation in generations:
        if set(generation.captions) != known:
            raise UserError(
                f"the run '{run.name}' has other prompts in generation {generation.number} than in "
                f"generation 0"
            )
    means, within = (
        np.stack(part) for part in zip(*(_moments(g, groups) for g in generations), strict=True)
    )
    base, unguided = (means[0], within[0]), None
    if all("unguided" in generation.draws() for generation in generations):
        draws = [generation.draw("unguided") for generation in generations]
        if all(set(draw.captions) == known for draw in draws):
            each = [_moments(draw, groups) for draw in draws]
            base, unguided = each[0], np.stack([moment[0] for moment in each])
    settings = run.recipe.settings
    return PromptChain(
        run.name,
        settings.seed,
        float(settings.generate.guidance.scale),
        groups,
        np.bincount(groups.indices(generations[0].captions)).astype(float),
        means,
        within,
        *base,
        conditions=conditions(settings),
        traits=_traits(run, groups),
        unguided=unguided,
        **_described(settings, len(generations) - 1, f"the run '{run.name}'"),
    )


def _groups(run: Run) -> Groups:
    """Return the prompts of a run, or groups of them."""
    first = run.generation(0)
    counts = np.unique(first.captions, return_counts=True)[1]
    if len(counts) <= MOST and counts.min() >= _LEAST:
        groups = single(first.captions)
    else:
        groups = alike(first.captions, _values(first))
    if len(groups.names) < _LEAST:
        raise UserError(
            f"the run '{run.name}' has {len(counts)} prompts for its {len(first.captions)} images: "
            f"a theory of prompts needs two prompts or more with two images or more of each, or 16 "
            f"images or more"
        )
    return groups


def _and(names: Sequence[str]) -> str:
    return " and ".join(f"'{name}'" for name in names)


def _values(images: Draw | Generation) -> Float[np.ndarray, "n K"]:
    return images.trait(AXES).astype(np.float64)


def _moments(
    images: Draw | Generation, groups: Groups
) -> tuple[Float[np.ndarray, "C K"], Float[np.ndarray, "C K K"]]:
    return _of_groups(_values(images), groups.indices(images.captions))


def _of_groups(
    values: Float[np.ndarray, "n K"], codes: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "C K"], Float[np.ndarray, "C K K"]]:
    each = [values[codes == c] for c in range(codes.max() + 1)]
    within = [np.cov(g, rowvar=False).reshape(2 * g.shape[1:]) for g in each]
    return np.stack([g.mean(axis=0) for g in each]), np.stack(within)


def _traits(run: Run, groups: Groups) -> dict[str, Trait]:
    """Return the traits of one component whose prompt means every generation has."""
    generations = run.generations()
    first, moments = generations[0], run.moments()
    of_base = "unguided" if "unguided" in first.draws() else None
    every = [(g, prompts_of_draw(g)) for g in generations]
    base = (first.draw(of_base) if of_base else first, prompts_of_draw(first, of_base))
    names = set.intersection(*(set(p.means) for _, p in (*every, base))) - set(_VECTORS)
    traits = {}
    for name in sorted(names):
        if every[0][1].means[name].shape[1] != 1:
            continue
        if not groups.of_single_captions:
            each = [_trait_of_groups(images, p, name, groups) for images, p in (*every, base)]
            means, within = (np.stack(part) for part in zip(*each, strict=True))
            traits[name] = Trait(means[:-1], within[:-1], means[-1], float(within[-1]))
            continue
        in_order = lambda p, name=name: p.means[name][np.argsort(groups.indices(p.captions)), 0]
        V_W = moments[moments["feature"] == name].set_index("generation")["within"]
        within = V_W.loc[range(len(every))].to_numpy(float)
        base_within = float(within[0])
        if of_base:
            images = base[0]
            values = images.trait(name).astype(np.float64)
            base_within = float(_of_groups(values, groups.indices(images.captions))[1].mean())
        means = np.stack([in_order(p) for _, p in every])
        traits[name] = Trait(means, within, in_order(base[1]), base_within)
    return traits


def _trait_of_groups(
    images: Draw | Generation, prompts: Prompts, name: str, groups: Groups
) -> tuple[Float[np.ndarray, " C"], float]:
    """Return a trait's means [C] of groups, and its V_W, pooled over groups: of single images, or
    of prompts, where kept runs have no others."""
    if name in images.traits():
        values, captions = images.trait(name).astype(np.float64), images.captions
    else:
        values, captions = prompts.means[name], prompts.captions
    codes = groups.indices(captions)
    means = np.bincount(codes, values[:, 0]) / np.bincount(codes)
    rest = values[:, 0] - means[codes]
    return means, float(rest @ rest / (len(codes) - len(means)))
