"""Latents of the images that the theory of prompts expects.

The leading axes are few. The mean of all latents of a prompt follows from where the prompt lies,
as a mean of a trait is (`traits`, with one trait for each coordinate), and images lie about it as
those of the base model do, nearer by the root of the ratio of V_W along the axes:

    z = mean_c + sqrt(V_W(t)/V_W(base)) e

with e the deviation of an image of the base model from its prompt's mean, or, in kept runs, which
have no latents of single images, a draw of N(0, P) with their covariance within prompts. That all
directions narrow alike is an approximation: guidance narrows some fourfold, others not.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from analysis.arms.record import Record
from analysis.prompts.chains import PromptChain, Trait
from analysis.prompts.coordinates import base_prompts, in_order
from analysis.prompts.paths import Path
from analysis.prompts.traits import trait_map
from empirical.runs.prompts import LATENT, Prompts, prompts_of_draw

# Of the map of latents, which are averaged.
_DRAWS = 16


def latents(
    runs: Sequence[Record],
    chains: Sequence[PromptChain],
    planned: PromptChain,
    path: Path,
    images: int,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "G C n d"], list[list[str]]]:
    """Return latents of `images` images of each prompt, in generations 1 to G of a planned chain,
    and their captions [C][n].

    `chains` are those of the runs. The prompts are at the mean over the draws of the path; an image
    has the same e in all generations. Raises `UserError` for runs without latents.
    """
    known = [_prompts(run, chain) for run, chain in zip(runs, chains, strict=True)]
    base = base_prompts(runs[0])
    centre = in_order(base, planned)
    d = centre.shape[1]
    of_latents = lambda means: {
        f"{k:04d}": Trait(means[..., k], np.ones(len(means)), centre[:, k], 1.0) for k in range(d)
    }
    seen = [
        replace(chain, traits=of_latents(means)) for chain, means in zip(chains, known, strict=True)
    ]
    fitted = trait_map(seen, np.ones((len(chains), chains[0].generations), bool))
    places = path.means.mean(axis=0)[None, 1:]
    target = replace(planned, traits=of_latents(known[0][:1]))
    means = fitted.draws(target, np.repeat(places, _DRAWS, axis=0), seed).mean(axis=0)
    K = planned.means.shape[-1]
    V = np.diagonal(planned.base_within.mean(axis=0))
    ratio = (np.exp(path.levels[:, 1:, :K]) @ V).mean(axis=0) / V.sum()
    e, captions = _deviations(runs[0], base, planned, images, seed)
    return means[:, :, None] + np.sqrt(ratio)[:, None, None, None] * e, captions


def _deviations(
    run: Record, base: Prompts, chain: PromptChain, images: int, seed: int
) -> tuple[Float[np.ndarray, "C n d"], list[list[str]]]:
    """Return deviations from prompts' means, and captions: of images of the base, each at most once
    until all were used, or Gaussian ones."""
    rng, first = np.random.default_rng(seed), run.generation(0)
    drawn = first.draw("unguided") if "unguided" in first.draws() else first
    centre = in_order(base, chain)
    if LATENT not in drawn.traits():
        P = base.covariance
        L = np.linalg.cholesky(P + 1e-9 * np.eye(len(P)))
        e = rng.standard_normal((*centre.shape[:1], images, len(P))) @ L.T
        return e, [[caption] * images for caption in chain.captions]
    values, texts = drawn.trait(LATENT).astype(np.float64), np.asarray(drawn.captions)
    codes = chain.groups.indices(drawn.captions)
    chosen, captions = [], []
    for c, mean in enumerate(centre):
        members = np.flatnonzero(codes == c)
        picked = members[np.resize(rng.permutation(len(members)), images)]
        chosen.append(values[picked] - mean)
        captions.append(texts[picked].tolist())
    return np.stack(chosen), captions


def _prompts(run: Record, chain: PromptChain) -> Float[np.ndarray, "T C d"]:
    every = [prompts_of_draw(generation) for generation in run.generations()[: len(chain.means)]]
    return np.stack([in_order(prompts, chain, run.name) for prompts in every])
