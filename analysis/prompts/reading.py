"""Runs, and scans at one scale, read as chains of prompts."""

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int

from analysis.arms.record import Record
from analysis.prompts.chains import PromptChain, Trait, common_traits
from analysis.prompts.conditions import conditions, described
from analysis.prompts.groups import MOST, Groups, alike, single
from empirical.errors import UserError
from empirical.runs.draws import Draw, Generated
from empirical.runs.prompts import Prompts, prompts_of_draw

AXES = "latent_pc"
_VECTORS = (AXES, "latent", "classifier", "power_spectrum")
_LEAST = 2


def chains(
    runs: Iterable[Record], traits: Collection[str] | None = None
) -> tuple[list[PromptChain], list[str]]:
    """Read the chains that one theory of prompts can describe; return them and why others, or
    traits that not all of them have, were left out.

    All have the prompts, the axes and the generations of the first, and its settings but for
    guidance, training sets, condition drop and seed; and `traits`, where these alone are asked for.
    Raises `UserError` where none is left.
    """
    read, left_out = [], []
    for run in runs:
        try:
            chain = prompt_chain(run)
        except UserError as error:
            left_out.append(str(error))
            continue
        if traits is not None:
            missing = sorted(set(traits) - set(chain.traits))
            if missing:
                left_out.append(
                    f"the theory of prompts does not know the trait '{missing[0]}' of the run "
                    f"'{chain.name}', it knows {', '.join(chain.traits) or 'none'}"
                )
                continue
            chain = chain.limited(traits)
        if read and _shape(chain) != _shape(read[0]):
            left_out.append(
                f"the run '{run.name}' has other prompts, axes, generations or settings than "
                f"'{read[0].name}'"
            )
            continue
        read.append(chain)
    if not read:
        raise UserError("; ".join(left_out) or "a theory of prompts needs a run")
    return with_one_base(_with_common_traits(read, left_out)), left_out


def _with_common_traits(chains: list[PromptChain], left_out: list[str]) -> list[PromptChain]:
    """Return chains with the traits that all of them have; say which others are left out."""
    common = common_traits(chains)
    others = sorted({name for chain in chains for name in chain.traits}.difference(common))
    if not others:
        return chains
    without = next(chain.name for chain in chains if not set(others) <= set(chain.traits))
    left_out.append(
        f"the traits {', '.join(others)}, of which the run '{without}' has not all the means of "
        f"prompts"
    )
    return [chain.limited(common) for chain in chains]


def with_one_base(chains: list[PromptChain]) -> list[PromptChain]:
    """Return chains whose deviations are all from the base model's images, where one has them."""
    known = next((chain for chain in chains if chain.unguided is not None), None)
    if known is None:
        return chains
    return [chain if chain.unguided is not None else _from_base(chain, known) for chain in chains]


def _from_base(chain: PromptChain, known: PromptChain) -> PromptChain:
    """Return a chain with the base of another."""
    base = lambda trait: {"base_means": trait.base_means, "base_within": trait.base_within}
    traits = {
        name: replace(trait, **base(known.traits[name])) for name, trait in chain.traits.items()
    }
    return replace(chain, traits=traits, **base(known))


def _shape(chain: PromptChain) -> tuple[object, ...]:
    return chain.groups, chain.means.shape, chain.conditions


def prompt_chain(run: Record) -> PromptChain:
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
        **described(settings, len(generations) - 1, f"the run '{run.name}'"),
    )


def _groups(run: Record) -> Groups:
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


def _values(images: Draw | Generated) -> Float[np.ndarray, "n K"]:
    return images.trait(AXES).astype(np.float64)


def _moments(
    images: Draw | Generated, groups: Groups
) -> tuple[Float[np.ndarray, "C K"], Float[np.ndarray, "C K K"]]:
    return _of_groups(_values(images), groups.indices(images.captions))


def _of_groups(
    values: Float[np.ndarray, "n K"], codes: Int[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "C K"], Float[np.ndarray, "C K K"]]:
    each = [values[codes == c] for c in range(codes.max() + 1)]
    within = [np.cov(g, rowvar=False).reshape(2 * g.shape[1:]) for g in each]
    return np.stack([g.mean(axis=0) for g in each]), np.stack(within)


def _traits(run: Record, groups: Groups) -> dict[str, Trait]:
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
    images: Draw | Generated, prompts: Prompts, name: str, groups: Groups
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
