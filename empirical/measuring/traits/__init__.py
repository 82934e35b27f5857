"""Traits: features of every image of every generation.

A trait is one file here with one function, ``measure(view)``, that returns features
[n, components], or None where the trait is not defined (no classifier, no colours). Its name is
the file's. Nothing else needs to know it. Files whose names start with an underscore are not
traits but code that several of them share.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float, UInt8

Measure = Callable[["View"], Float[np.ndarray, "n d"] | None]


@dataclass(frozen=True)
class Classifier:
    """A classifier: `categories` gives each caption that it knows its category, which may be
    itself, and `predict` maps images [n, height, width, channels] (uint8) to features [n, d] and
    predicted categories."""

    categories: Mapping[str, str]
    predict: Callable[[UInt8[np.ndarray, "n h w c"]], tuple[Float[np.ndarray, "n d"], list[str]]]


@dataclass(frozen=True)
class View:
    """One generation as the traits see it.

    `images` [n, height, width, channels] (uint8); `encode` maps them to VAE latents [n, d];
    `classifier` is None where there is none; `initial` maps the name of a trait to its values in
    generation 0, and is None in generation 0.
    """

    images: UInt8[np.ndarray, "n h w c"]
    encode: Callable[[UInt8[np.ndarray, "n h w c"]], Float[np.ndarray, "n d"]]
    classifier: Classifier | None = None
    initial: Callable[[str], Float[np.ndarray, "n d"]] | None = None
    measured: dict[str, Float[np.ndarray, "n _"] | None] = field(default_factory=dict)

    @cached_property
    def grey(self) -> Float[np.ndarray, "n h w"]:
        """Luminance [n, height, width] in [0, 1] (ITU-R 601 weights for colour)."""
        pixels = self.images.astype(np.float64) / 255
        return pixels[..., 0] if pixels.shape[-1] == 1 else pixels @ [0.299, 0.587, 0.114]

    @property
    def coloured(self) -> bool:
        """Whether the images have colour channels at all."""
        return self.images.shape[-1] == 3

    @cached_property
    def classified(self) -> tuple[Float[np.ndarray, "n d"], list[str]] | None:
        """Features and predicted categories of the classifier, where there is one."""
        return self.classifier.predict(self.images) if self.classifier else None

    def trait(self, name: str) -> Float[np.ndarray, "n d"] | None:
        """Measure a trait by its name, once."""
        if name not in self.measured:
            self.measured[name] = every_trait()[name](self)
        return self.measured[name]

    def first(self, name: str) -> Float[np.ndarray, "n d"] | None:
        """Return a trait of generation 0, by its name."""
        return self.initial(name) if self.initial else self.trait(name)


def every_trait() -> Mapping[str, Measure]:
    """Return each trait's `measure` by name, found by listing this package."""
    modules = (module.name for module in pkgutil.iter_modules(__path__))
    names = sorted(name for name in modules if not name.startswith("_"))
    return {name: importlib.import_module(f"{__name__}.{name}").measure for name in names}
