"""Kernel inception distance: squared mean discrepancy of a cubic kernel."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.metrics.measures._base import Pair
from empirical.measuring.metrics.measures._mmd import unbiased


def against(pair: Pair) -> float:
    """Return the squared MMD of two sets with the kernel k(x, y) = (x.y/d + 1)^3, in its units.

    Unbiased for independent images, also for few in many dimensions, so it is sometimes negative
    for similar sets. Where each prompt has a fixed number of images it is biased low, by
    (mean k within prompts - mean k) (1/(n-1) + 1/(m-1)): no image is paired with itself. Over
    all images at once rather than the mean over random subsets; papers often print a thousand
    times this. Below 2 images: nan.
    Source: Binkowski et al. 2018 (arXiv 1801.01401).
    """
    a, b = pair.sample.features, pair.reference.features
    return unbiased(_kernel(a, a), _kernel(b, b), _kernel(a, b))


def _kernel(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    base = a @ b.T
    # In place, which halves the time.
    base /= a.shape[1]
    base += 1
    cube = base * base
    cube *= base
    return cube
