"""A scan at one scale as the run it could be: one generation from the training set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.arms.record import Effective
from empirical import recipe
from empirical.errors import UserError
from empirical.recipe import MeasureTable
from empirical.runs import moments
from empirical.runs.draws import NAMES, Draw, Name, replicates_of
from empirical.runs.moments import Replicates
from empirical.runs.scans import Scan

# Describes how errors of an average over the latents are correlated.
_SCORES = "latent_pc"


@dataclass(frozen=True)
class Images:
    """The training set (`number` 0) or the images at one scale (1), with their draws."""

    scan: Scan
    scale: float
    number: int

    @property
    def _source(self) -> Draw:
        return self.scan.draw(1, self.scale) if self.number else self.scan.training(1)

    @property
    def folder(self) -> Path:
        return self._source.folder

    @property
    def captions(self) -> list[str]:
        return self._source.captions

    def traits(self) -> list[str]:
        return self._source.traits()

    def trait(self, name: str) -> Float[np.ndarray, "n d"]:
        return self._source.trait(name)

    def replicates(self) -> Replicates | None:
        """Return further images of the prompts, where any were drawn; of generation 0 the draws of
        the base model, one or two."""
        draws = (self.draw("replicate"),) if self.number else self.scan.base()
        return replicates_of(draws, of_base=self.number == 0)

    def draw(self, name: Name) -> Draw:
        """Return a draw by the name that it has in a run; without guidance is scale 1."""
        if self.number and name == "unguided":
            return self.scan.draw(1, 1.0)
        if self.number and name == "replicate":
            return self.scan.replicate(1, self.scale)
        if self.number and name == "unguided_replicate":
            return self.scan.replicate(1, 1.0)
        return self.scan.run.generation(self.number).draw(name)

    def draws(self) -> list[Name]:
        return [name for name in NAMES if self.draw(name).complete]


@dataclass(frozen=True)
class Step:
    """One generation of a chain at one scale: the training set of a scan, and a draw.

    Its moments are those of `of_trait` and of the principal scores of the latents; of all traits
    where none is named. Raises `UserError` where generation 1 was not scanned.
    """

    scan: Scan
    scale: float
    of_trait: str | None = None

    def __post_init__(self) -> None:
        if 1 not in self.scan.generations:
            raise UserError(
                f"the scan '{self.scan.folder}' has no generation 1, the one that learns from real "
                f"images: theories describe chains from there on"
            )

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
        return Images(self.scan, self.scale, number)

    def generations(self) -> list[Images]:
        return [self.generation(0), self.generation(1)]

    def moments(self) -> pd.DataFrame:
        """Return moments as a run's ``moments.csv`` has them."""
        frames, trait = [], self.of_trait
        for images in self.generations():
            known = images.traits()
            if trait is not None and trait not in known:
                raise UserError(
                    f"'{images.folder}' has no trait '{trait}', it has {', '.join(known)}"
                )
            names = known if trait is None else [n for n in (trait, _SCORES) if n in known]
            features = {name: images.trait(name) for name in names}
            frames.append(
                moments.table(images.number, features, images.captions, images.replicates())
            )
        return pd.DataFrame(pd.concat(frames, ignore_index=True))


def steps(scan: Scan, trait: str | None = None) -> list[Step]:
    """Return each scale of a scan as a run of one generation."""
    return [Step(scan, scale, trait) for scale in scan.scales]
