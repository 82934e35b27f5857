"""Leading principal components of the latents, fitted on generation 0."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View

COMPONENTS = 8


def measure(view: View) -> Float[np.ndarray, "n d"] | None:
    """Return scores [n, k] on generation 0's first k = 8 principal axes, centred on its mean.

    The axes have unit length, so scores are in latent units; the sign of an axis is such that its
    largest loading is positive. With fewer than nine images there are fewer axes.
    """
    latents, first = view.trait("latent"), view.first("latent")
    if latents is None or first is None:
        return None
    first = first.astype(np.float64)
    centre = first.mean(axis=0)
    count = min(COMPONENTS, len(first) - 1, first.shape[1])
    axes = np.linalg.svd(first - centre, full_matrices=False)[2][:count]
    largest = np.abs(axes).argmax(axis=1)
    axes *= np.sign(axes[np.arange(count), largest])[:, None]
    return (latents.astype(np.float64) - centre) @ axes.T
