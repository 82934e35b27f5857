"""Plans of embedded models: data, sizes, lengths of training, and the words of the model card."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from empirical.embedded import Captioned


@dataclass(frozen=True)
class Sizes:
    """Channels of each level of the autoencoder, the denoiser and the classifier, and the width of
    the text encoder."""

    vae: tuple[int, ...] = (16, 32, 64)
    denoiser: tuple[int, int] = (48, 96)
    classifier: tuple[int, int, int] = (24, 48, 64)
    text: int = 64


@dataclass(frozen=True)
class Lengths:
    """Steps of the autoencoder and the denoiser with `batch` images each, their largest learning
    rates, epochs of the classifier, and steps of the contrastive model (0: there is none)."""

    vae_steps: int = 3_000
    denoiser_steps: int = 6_000
    classifier_epochs: int = 40
    clip_steps: int = 0
    batch: int = 64
    vae_rate: float = 2e-3
    denoiser_rate: float = 1.5e-3


@dataclass(frozen=True)
class Words:
    """Words of the model card, in Markdown; `licence` by its name in the hub's list, `command` as
    it is typed after ``qtm``."""

    licence: str
    command: str
    what: str
    prompts: str
    data: str
    classifier: str
    limits: str


@dataclass(frozen=True)
class Plan:
    """The training of one embedded model.

    Autoencoder, denoiser and contrastive model learn the images `base`, the classifier learns the
    categories of the images `classified`. `real` and `reference` are compared with the images that
    the model draws with the captions of `prompted`; the classifier has seen neither. `categories`
    gives every caption its category; every word of both becomes one token.

    mirrored: whether mirror images are learnt too. shortened: the probability that a caption is
    replaced by its category in the training of the denoiser.
    """

    name: str
    base: Captioned
    classified: Captioned
    real: Captioned
    reference: Captioned
    prompted: Captioned
    categories: Mapping[str, str]
    card: Words
    sizes: Sizes = Sizes()
    lengths: Lengths = Lengths()
    mirrored: bool = False
    shortened: float = 0.0

    @property
    def channels(self) -> int:
        """The channels of an image."""
        return self.base.images.shape[-1]

    @property
    def captions(self) -> tuple[str, ...]:
        """All captions and categories, sorted."""
        return tuple(sorted({*self.categories, *self.categories.values()}))

    @property
    def classes(self) -> tuple[str, ...]:
        """The categories that the classifier distinguishes, in the order of its images."""
        return tuple(dict.fromkeys(self.classified.categories))

    def digest(self) -> str:
        """Return a digest of all that the weights depend on, beside the seed."""
        digest = hashlib.sha256()
        for images in (self.base, self.classified):
            digest.update(images.images.tobytes())
            digest.update(json.dumps([images.captions, images.categories]).encode())
        numbers = [asdict(self.sizes), asdict(self.lengths), self.mirrored, self.shortened]
        digest.update(json.dumps([*numbers, dict(self.categories)], sort_keys=True).encode())
        return digest.hexdigest()
