"""The unbiased estimate of a squared maximum mean discrepancy."""

import numpy as np
from jaxtyping import Float


def unbiased(
    aa: Float[np.ndarray, "n n"], bb: Float[np.ndarray, "m m"], ab: Float[np.ndarray, "n m"]
) -> float:
    """Return mean k(a, a') + mean k(b, b') - 2 mean k(a, b) over different images.

    From kernel matrices [n, n], [m, m] and [n, m]; nan below two images a set.
    Source: Gretton et al. 2012, JMLR 13, 723, equation 3.
    """
    if min(ab.shape) < 2:
        return float("nan")
    return float(_off_diagonal(aa) + _off_diagonal(bb) - 2 * ab.mean())


def _off_diagonal(kernel: Float[np.ndarray, "n n"]) -> float:
    n = len(kernel)
    return (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
