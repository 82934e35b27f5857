"""What an embedded model is trained from, and how: data, sizes, lengths, and words of its card."""

from collections.abc import Mapping
from dataclasses import dataclass

from empirical.embedded import Captioned


@dataclass(frozen=True)
class Sizes:
    """Sizes of the parts: pixels and channels of an image, channels of each level of autoencoder
    and denoiser, width and length of the text encoder, channels of each level of the judge."""

    side: int = 32
    channels: int = 1
    vae: tuple[int, ...] = (16, 32, 64)
    denoiser: tuple[int, int] = (48, 96)
    text_width: int = 64
    text_length: int = 12
    judge: tuple[int, int, int] = (24, 48, 64)


@dataclass(frozen=True)
class Lengths:
    """Steps of the autoencoder and the denoiser with `batch` images each, their largest learning
    rates, passes of the judge over its images, and steps of the contrastive model (0: there is
    none)."""

    vae_steps: int = 3_000
    denoiser_steps: int = 6_000
    judge_epochs: int = 40
    clip_steps: int = 0
    batch: int = 64
    vae_rate: float = 2e-3
    denoiser_rate: float = 1.5e-3


@dataclass(frozen=True)
class Words:
    """Words of the model card, in Markdown; `licence` by its name in the hub's list."""

    licence: str
    what: str
    prompts: str
    data: str
    limits: str
    judge: str


@dataclass(frozen=True)
class Plan:
    """The training of one embedded model.

    `base` are the images that autoencoder and denoiser learn, `judge` those of the judge, a
    classifier of families. `real` and `reference` are images that the judge has never seen; images
    are drawn with the captions of `prompted`, and their families are compared with those that the
    judge sees. `families` gives every caption its family; the words of all of them are tokens.

    mirrored: whether images are learnt from both sides. shortened: how often a caption is replaced
    by its family's in the training of the denoiser.
    """

    name: str
    base: Captioned
    judge: Captioned
    real: Captioned
    reference: Captioned
    prompted: Captioned
    card: Words
    families: Mapping[str, str]
    sizes: Sizes = Sizes()
    lengths: Lengths = Lengths()
    mirrored: bool = False
    shortened: float = 0.0

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All captions whose words are tokens, sorted."""
        return tuple(sorted({*self.families, *self.families.values()}))

    @property
    def classes(self) -> tuple[str, ...]:
        """The families that the judge tells apart, in the order of its first images."""
        return tuple(dict.fromkeys(self.judge.families))
