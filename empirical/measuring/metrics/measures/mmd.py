"""Maximum mean discrepancy, Gaussian kernel; CMMD, where the features are CLIP's."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.metrics.measures._base import Pair
from empirical.measuring.metrics.measures._mmd import unbiased

SIGMA = 10.0
SCALE = 1000.0


def against(pair: Pair) -> float:
    """Return 1000 times the squared MMD with k(x, y) = exp(-|x - y|^2 / (2 sigma^2)), sigma = 10.

    In units of a thousandth of the kernel, which is 1 at equal features. CMMD proper takes CLIP
    embeddings of unit length, where so wide a kernel is nearly linear in squared distances; in
    other features sigma is in their units. Unbiased for independent images, so it is sometimes
    negative for similar sets, and biased low where prompts have fixed numbers of images, as
    in `kid`; the authors' code keeps the images' similarity to themselves, which adds about
    1000 (1 - mean k) (1/n + 1/m). Below 2 images: nan.
    Source: Jayasumana et al. 2024 (arXiv 2401.09603); Gretton et al. 2012, JMLR 13, 723.
    """
    within = (_kernel(pair.sample.distances), _kernel(pair.reference.distances))
    return SCALE * unbiased(*within, _kernel(pair.distances))


def _kernel(distances: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    return np.exp(distances * distances / (-2 * SIGMA**2))
