"""Images that the theory of prompts expects: its latents, decoded by the model of the runs."""

import importlib.metadata
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from analysis.arms.record import Record
from analysis.prompts.chains import PromptChain
from analysis.prompts.latents import latents
from analysis.prompts.paths import Path

# Images show the mean over draws of a path. Of 64 draws it is off by so much that their Fréchet
# distance to measured ones varies by a tenth.
DRAWS = 256


def pictures(
    runs: Sequence[Record],
    chains: Sequence[PromptChain],
    planned: PromptChain,
    path: Path,
    images: int,
    seed: int = 0,
) -> tuple[UInt8[np.ndarray, "G N h w c"], list[str]] | None:
    """Return `images` images of each prompt in generations 1 to G of a planned chain, and their
    captions [N]; None where no installed package decodes latents.

    `chains` are those of the runs, from which the path was predicted. Raises `UserError` as
    `latents` does.
    """
    # Packages register decoders: there is none where this one is installed alone.
    try:
        registered = importlib.metadata.entry_points(group="qtm.decoders")
        decoders = [decoder.load() for decoder in registered]
    except ModuleNotFoundError:
        return None
    if not decoders:
        return None
    z, captions = latents(runs, chains, planned, path, images, seed)
    G, C, n, d = z.shape
    decoded = decoders[0](runs[0].recipe.settings.model.name, z.reshape(-1, d))
    texts = [caption for of_prompt in captions for caption in of_prompt]
    return decoded.reshape(G, C * n, *decoded.shape[1:]), texts
