"""The bounded mixture: a chain of generations without a neural network, in any dimension.

Families (prompts) are Gaussians with full covariances, so the scores that a diffusion model has to
learn are known exactly: conditional ones of each family, and unconditional ones of a separate
mixture. Guided sampling with them, refitting and sampling again is the loop of a chain.

    inherit (refit) -> select (guided sampling) -> mutate -> bound -> sample N images

    >>> import jax
    >>> import numpy as np
    >>> from qtm import mixture
    >>> latents = np.random.default_rng(0).normal(size=(40, 3))
    >>> captions = 20 * ["a photo of a cat", "a photo of a dog"]
    >>> base = mixture.Mixture.fit(latents, captions)
    >>> sampler = mixture.Sampler(mixture.NoiseLevels.preserving(steps=20), scale=1.2)
    >>> learning = mixture.Learning(heritability=0.9, uptake=1.0, leak=0.08)
    >>> path = mixture.chain(base, sampler, 6, jax.random.key(0), latents, captions, learning)
    >>> path.within.shape, path.between.shape  # V_W and V_B of each trait, generations 0 to 6
    ((7, 3), (7, 3))

Noise levels. A noisy trait is y = z + s e with e ~ N(0, 1): s is the noise level, the ratio of
noise to signal, and s^2 is the t of the probability-flow ODE. A variance-preserving model holds
a z + b e instead, which is a y at s = b/a: one scale serves both conventions.
"""

from qtm.mixture.distribution import Mixture
from qtm.mixture.generator import MixtureGenerator
from qtm.mixture.learning import Learning
from qtm.mixture.levels import NoiseLevels, scaled_linear
from qtm.mixture.loop import DivergenceError, Path, chain, populations
from qtm.mixture.sampler import Sampler, interval, keys_of, sample

__all__ = [
    "DivergenceError",
    "Learning",
    "Mixture",
    "MixtureGenerator",
    "NoiseLevels",
    "Path",
    "Sampler",
    "chain",
    "interval",
    "keys_of",
    "populations",
    "sample",
    "scaled_linear",
]
