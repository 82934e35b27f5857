"""The bounded mixture: a chain of generations without a neural network, in any dimension.

Families (prompts) are Gaussians with full covariances, so the scores that a diffusion model has to
learn are known exactly: conditional ones of each family, and unconditional ones of a separate
mixture. Guided sampling with them, refitting and sampling again is the loop of a chain.

    inherit (refit) -> select (guided sampling) -> mutate -> bound -> sample N images

    >>> from qtm import mixture
    >>> base = mixture.Mixture.fit(latents, captions)
    >>> sampler = mixture.Sampler(mixture.NoiseLevels.preserving(steps=50), scale=7.5)
    >>> learning = mixture.Learning(heritability=0.9, uptake=1.0, leak=0.08)
    >>> path = mixture.chain(base, sampler, 6, jax.random.key(0), latents, captions, learning)
    >>> path.within.mean(axis=1), path.between.mean(axis=1)  # V_W and V_B, generations 0 to 6

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
