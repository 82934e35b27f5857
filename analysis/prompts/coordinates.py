"""The latents as one trait: V_W and V_B averaged over all of their coordinates.

The leading axes have little of V_B where guidance is strong: there the prompts leave the axes of
real images. So ln V_B averaged over coordinates is followed on its account, with the process of
`variances`: its change depends on ln V_B itself, on the distance of prompts from the base along the
axes, and on guidance.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from analysis.arms.record import Record
from analysis.prompts.chains import PromptChain, Trait
from empirical.errors import UserError
from empirical.runs.prompts import LATENT, Prompts, prompts_of_draw

# The trait whose V_W stands for V_B of the latents.
BETWEEN = f"{LATENT}, between prompts"


def with_latents(run: Record, chain: PromptChain) -> PromptChain:
    """Return the chain of a run with two more traits, `LATENT` and `BETWEEN`: the V_W of the first
    and of the second are V_W and V_B of the latents, averaged over coordinates, and their means the
    averages over coordinates. As it is for a run without latents of prompts."""
    generations = run.generations()[: len(chain.means)]
    every = [prompts_of_draw(generation) for generation in generations]
    base = base_prompts(run)
    if any(LATENT not in prompts.means for prompts in (*every, base)):
        return chain
    moments = run.moments()
    V_W = moments[moments["feature"] == LATENT].groupby("generation")["within"].mean()
    within = V_W.loc[range(len(every))].to_numpy(float)
    base_within = within[0] if base.within is None else base.within.mean()
    z, z_base = (np.stack([in_order(p, chain) for p in ps]) for ps in (every, [base]))
    V_B = [means.var(axis=1, ddof=1).mean(axis=-1) for means in (z, z_base)]
    averages = z.mean(axis=-1), z_base[0].mean(axis=-1)
    latents = {
        LATENT: Trait(averages[0], within, averages[1], float(base_within)),
        BETWEEN: Trait(averages[0], V_B[0], averages[1], float(V_B[1][0]), is_within=False),
    }
    return replace(chain, traits=chain.traits | latents)


def base_prompts(run: Record) -> Prompts:
    """Return the moments of prompts of the base model's images without guidance, of real images
    where a run has none."""
    first = run.generation(0)
    return prompts_of_draw(first, "unguided" if "unguided" in first.draws() else None)


def in_order(prompts: Prompts, chain: PromptChain, name: str = "") -> Float[np.ndarray, "C d"]:
    """Return the means of all latents of a chain's prompts, or of their groups. Raises `UserError`
    where they are missing."""
    if LATENT not in prompts.means:
        raise UserError(
            f"the run '{name or chain.name}' has no latents of prompts, from which images could be "
            f"drawn"
        )
    codes, means = chain.groups.indices(prompts.captions), prompts.means[LATENT]
    sums = np.zeros((len(chain.captions), means.shape[1]))
    np.add.at(sums, codes, means * prompts.counts[:, None])
    return sums / np.bincount(codes, prompts.counts)[:, None]
