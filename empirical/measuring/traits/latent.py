"""VAE latents: the encoder's posterior mean, scaled as the denoiser's input."""

import numpy as np
from jaxtyping import Float

from empirical.measuring.traits import View


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return latents [n, d], channel by channel, row by row."""
    return view.encode(view.images).astype(np.float32)
