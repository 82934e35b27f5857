"""A scan as the arms of an experiment: each scale is one generation from the training set."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.arms.read import Arm, arm
from analysis.arms.record import Effective
from empirical import recipe
from empirical.errors import UserError
from empirical.recipe import MeasureTable
from empirical.runs import moments
from empirical.runs.draws import Draw
from empirical.runs.moments import Replicates
from empirical.runs.scans import Scan

# Describes how errors of an average over the latents are correlated.
_SCORES = "latent_pc"


def arms(scan: Scan, trait: str = "latent", components: Sequence[int] | None = None) -> list[Arm]:
    """Return each scale of a scan as an arm of one generation, from the training set of
    generation 1.

    Traits of many components are averaged, as those of runs are. Raises `UserError` where
    generation 1 was not scanned, and for what `analysis.arms.read.arm` refuses.
    """
    if 1 not in scan.generations:
        raise UserError(
            f"the scan '{scan.folder}' has no generation 1, the one that learns from real images: "
            f"theories describe chains from there on"
        )
    return [arm(Step(scan, scale, trait), trait, components) for scale in scan.scales]


@dataclass(frozen=True)
class Images:
    """A draw of a scan with further images of its prompts."""

    draw: Draw
    more: tuple[Draw, ...]
    of_base: bool

    @property
    def captions(self) -> list[str]:
        return self.draw.captions

    def traits(self) -> list[str]:
        return self.draw.traits()

    def trait(self, name: str) -> Float[np.ndarray, "n d"]:
        return self.draw.trait(name)

    def replicates(self) -> Replicates | None:
        """Return further images of the prompts, where any were drawn."""
        if not self.more:
            return None
        return Replicates(
            [caption for draw in self.more for caption in draw.captions],
            lambda trait: np.concatenate([draw.trait(trait) for draw in self.more]),
            of_base=self.of_base,
        )


@dataclass(frozen=True)
class Step:
    """One generation of a chain at one scale: the training set of a scan, and a draw."""

    scan: Scan
    scale: float
    of_trait: str

    @property
    def name(self) -> str:
        return f"{self.scan.name},scale={self.scale:g}"

    @property
    def folder(self) -> Path:
        return self.scan.folder

    @property
    def recipe(self) -> Effective:
        """The settings of the scan's recipe, guided at this scale."""
        settings = self.scan.run.recipe.settings
        rule = recipe.parse({"generate": {"guidance": {"rule": "constant", "scale": self.scale}}})
        generate = settings.generate.model_copy(update={"guidance": rule.generate.guidance})
        count = self.scan.replicates
        return Effective(
            settings.model_copy(update={"generate": generate}), MeasureTable(replicates=count)
        )

    def generation(self, number: int) -> Images:
        """Return the training set (0) or the draw (1)."""
        if number == 0:
            return Images(self.scan.training(1), self.scan.base(), of_base=True)
        more = (self.scan.replicate(1, self.scale),) if self.scan.replicates else ()
        return Images(self.scan.draw(1, self.scale), more, of_base=False)

    def generations(self) -> list[Images]:
        return [self.generation(0), self.generation(1)]

    def moments(self) -> pd.DataFrame:
        """Return the moments of the trait, and of the principal scores of the latents."""
        frames = []
        for number, images in enumerate(self.generations()):
            known = images.traits()
            features = {n: images.trait(n) for n in (self.of_trait, _SCORES) if n in known}
            if self.of_trait not in features:
                raise UserError(
                    f"'{images.draw.folder}' has no trait '{self.of_trait}', it has "
                    f"{', '.join(known)}"
                )
            frames.append(moments.table(number, features, images.captions, images.replicates()))
        return pd.DataFrame(pd.concat(frames, ignore_index=True))
