"""The mixture as a generator of images, for loops over images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int, Key, UInt8

from qtm._core.numerics import require_positive
from qtm.mixture.distribution import Mixture
from qtm.mixture.learning import Learning
from qtm.mixture.sampler import Sampler, sample
from qtm.progress import Progress

_GREY = 127.5


class Captioned(Protocol):
    """Images [n, height, width, channels] (uint8), and the caption of each."""

    @property
    def images(self) -> UInt8[np.ndarray, "n height width channels"]: ...

    @property
    def captions(self) -> Sequence[str]: ...


class MixtureGenerator:
    """A mixture of Gaussians that learns and draws images, with the verbs of a diffusion model.

    An image of shape [height, width, channels] holds one trait in each of its values, z = (value -
    127.5)/`resolution`. Values are integers from 0 to 255, so rounding adds the variance
    1/(12 resolution^2), and traits beyond +-127.5/resolution are clipped: the default of 20 suits
    traits with a variance near 1, with 2e-4 and +-6.4.

    `base` is the mixture that finetuning starts from, `captions` name its families; `sampler` is
    the guided sampling, `learning` the inheritance.

    Raises ValueError if captions, shape and base do not fit each other, or the resolution is not
    greater than 0.
    """

    classifier = None

    def __init__(
        self,
        base: Mixture,
        captions: Sequence[str],
        shape: tuple[int, int, int],
        sampler: Sampler,
        learning: Learning | None = None,
        resolution: float = 20.0,
    ):
        require_positive("resolution", resolution)
        if len(set(captions)) != base.families or len(captions) != base.families:
            raise ValueError(
                f"captions must be {base.families} different ones, a family each, got {captions}."
            )
        if int(np.prod(shape)) != base.dimension:
            raise ValueError(f"shape must hold {base.dimension} values, got {shape}.")
        self.base, self.shape, self.sampler = base, tuple(shape), sampler
        self.learning, self.resolution = learning or Learning(), float(resolution)
        self._family = {caption: c for c, caption in enumerate(captions)}
        self._now = (base, base)

    def fit(self, population: Captioned, generation: int, folder: Path, progress: Progress) -> None:
        """Learn images, always from the base; write the mixtures to ``folder/mixture.npz``."""
        families = self._families(population.captions)
        self._now = self.learning.learn(self.base, self.encode(population.images), families)
        folder.mkdir(parents=True, exist_ok=True)
        mixtures = dict(zip(("conditional", "unconditional"), self._now, strict=True))
        parts = ("weights", "means", "spectra", "axes")
        arrays: dict[str, Any] = {
            f"{name}_{part}": np.asarray(getattr(mixture, part))
            for name, mixture in mixtures.items()
            for part in parts
        }
        np.savez(folder / "mixture.npz", **arrays)
        progress(self.costs[0])

    def unload(self) -> None:
        """Return to the base mixture."""
        self._now = (self.base, self.base)

    def sample(
        self, captions: Sequence[str], seeds: Sequence[int], progress: Progress
    ) -> UInt8[np.ndarray, "n height width channels"]:
        """Draw images [n, height, width, channels] (uint8); image i depends on seed i alone."""
        return self._sample(captions, seeds, progress, self.sampler)

    def sample_unguided(
        self, captions: Sequence[str], seeds: Sequence[int], progress: Progress
    ) -> UInt8[np.ndarray, "n height width channels"]:
        """Draw as `sample` does, with the same randomness for a seed, but at scale 1."""
        unguided = Sampler(self.sampler.levels, 1.0, self.sampler.operator)
        return self._sample(captions, seeds, progress, unguided)

    def _sample(
        self, captions: Sequence[str], seeds: Sequence[int], progress: Progress, sampler: Sampler
    ) -> UInt8[np.ndarray, "n height width channels"]:
        keys = _keys(np.asarray(seeds, np.uint64))
        z = np.asarray(sample(*self._now, self._families(captions), keys, sampler))
        if not np.isfinite(z).all():
            raise ValueError(
                f"samples must be finite, got {np.sum(~np.isfinite(z))} values that are not."
            )
        progress(len(z) * self.costs[1])
        values = np.clip(np.rint(_GREY + self.resolution * z), 0, 255)
        return values.astype(np.uint8).reshape(-1, *self.shape)

    def encode(
        self, images: UInt8[np.ndarray, "n height width channels"]
    ) -> Float[np.ndarray, "n d"]:
        """Map images to their traits [n, d]."""
        values = np.asarray(images, np.float64).reshape(len(images), -1)
        return (values - _GREY) / self.resolution

    @property
    def costs(self) -> tuple[int, int]:
        """Work of one `fit`, and of one image of `sample`, in units of `progress`."""
        return 1, self.sampler.levels.steps

    def _families(self, captions: Sequence[str]) -> Int[np.ndarray, " n"]:
        unknown = sorted(set(captions) - set(self._family))
        if unknown:
            raise ValueError(
                f"captions must be among {', '.join(map(repr, self._family))}, got {unknown[0]!r}."
            )
        return np.array([self._family[caption] for caption in captions])


@jax.jit
def _keys(seeds: ArrayLike) -> Key[Array, " n"]:
    return jax.vmap(jr.key)(jnp.asarray(seeds))
