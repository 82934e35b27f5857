"""The bounded mixture: a chain predicted from its real images by exact scores alone.

Nothing is fitted to the chain. The latents of generation 0 give every prompt a Gaussian; the
prediction follows from guided sampling with their exact scores, the range of images (`bound`) and
refitting. Any remaining difference from a chain is due to the network.
"""

from collections.abc import Callable
from typing import Literal

import jax
import numpy as np
import pandas as pd
from jaxtyping import ArrayLike, Float

from empirical.errors import UserError
from empirical.runs.record import Run
from qtm import mixture


def bounded_mixture(
    run: Run,
    scale: ArrayLike | Callable,
    *,
    heritability: float = 0.9,
    uptake: float = 1.0,
    leak: float = 0.0,
    mutation: float = 0.0,
    bound: Callable[[Float[np.ndarray, "N d"]], ArrayLike] | None = None,
    generations: int | None = None,
    levels: mixture.NoiseLevels | None = None,
    operator: Literal["ddim", "ddpm"] = "ddim",
    trait: str = "latent",
    seed: int = 0,
) -> pd.DataFrame:
    """Predict V_W and V_B down a chain: `generation`, `within`, `between`, a row each.

    Both are averages over the components of `trait` (feature units squared), defined as in
    ``moments.csv``; generation 0 is what was measured. `scale` is the guidance w, a number, one for
    each step, or a function of the noise level (`qtm.mixture.Sampler`); `heritability`, `uptake`
    and `leak` are those of `qtm.mixture.Learning`; `bound` maps traits [N, d] to those that images
    can have, for latents the round trip through the autoencoder: decode, clamp, encode. `levels`
    are 50 of Stable Diffusion's unless given; `generations` are those of the recipe.

    Raises `UserError` where a prompt has a single image, or where the chain diverges, which it does
    at strong guidance without a bound or with an uptake near 0.
    """
    first = run.generation(0)
    values, captions = first.trait(trait).astype(np.float64), first.captions
    labels, sizes = np.unique(captions, return_counts=True)
    if sizes.min() < 2:
        raise UserError(
            f"the run '{run.folder}' has one image of the prompt '{labels[sizes.argmin()]}': a "
            f"mixture needs two or more of each"
        )
    sampler = mixture.Sampler(levels or mixture.NoiseLevels.preserving(steps=50), scale, operator)
    learning = mixture.Learning(heritability=heritability, uptake=uptake, leak=leak)
    base = mixture.Mixture.fit(values, captions)
    G = run.recipe.generations if generations is None else generations
    try:
        path = mixture.chain(
            base, sampler, G, jax.random.key(seed), values, captions, learning, mutation, bound
        )
    except mixture.DivergenceError as error:
        raise UserError(
            f"the bounded mixture of the run '{run.folder}' diverges: {error}"
        ) from None
    return pd.DataFrame(
        {
            "generation": np.arange(G + 1),
            "within": path.within.mean(axis=1),
            "between": path.between.mean(axis=1),
        }
    )
