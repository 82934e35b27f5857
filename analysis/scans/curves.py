"""The images of one model at several CFG scales as plain arrays, and between these scales."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from analysis.selection.draws import Draws, Sample
from empirical.errors import UserError
from empirical.recipe import mostly_distinct
from empirical.runs.draws import Draw
from empirical.runs.scans import Scan


@dataclass(frozen=True)
class Curve:
    """A trait of one model's images at rising scales, row by row of the same prompt and seed.

    parents: the realised training set. parents_within: images that tell its variance within
    prompts where its captions are mostly distinct (those of the base model without guidance, for
    real images); None where there are none.
    """

    scales: tuple[float, ...]
    samples: tuple[Sample, ...]
    parents: Sample
    parents_within: Sample | None = None

    @cached_property
    def distinct(self) -> bool:
        """Whether most captions are of one image, so that replicates separate V_W from V_B."""
        return mostly_distinct(list(map(str, self.samples[0].realised().prompts)))

    @property
    def unguided(self) -> Sample | None:
        """The images at scale 1, None where it was not scanned."""
        return self.samples[self.scales.index(1.0)] if 1.0 in self.scales else None

    @property
    def positive(self) -> tuple[float, ...]:
        """The scales above 0, whose logarithm the response is a function of."""
        return tuple(w for w in self.scales if w > 0)

    def at_scale(self, scale: float) -> Sample:
        """Return the images at a scale within the range, linear in ln w between neighbours.

        S is proportional to ln w, so that each image moves along a line there; pairs share a seed,
        so that the sampling error between scales is that of the images on the line.
        """
        if scale in self.scales:
            return self.samples[self.scales.index(scale)]
        right = int(np.searchsorted(self.scales, scale))
        below, above = self.scales[right - 1], self.scales[right]
        fraction = np.log(scale / below) / np.log(above / below)
        first, second = self.samples[right - 1 : right + 1]
        values = (1 - fraction) * first.values + fraction * second.values
        return Sample(values, first.prompts, first.replicates)

    def draws(self, scale: float) -> Draws | None:
        """Return training set, unguided and guided images; None without a draw at scale 1."""
        if self.unguided is None:
            return None
        return Draws(self.parents, self.parents, self.unguided, self.at_scale(scale))

    def component(self, index: int) -> "Curve":
        """Return one component of every sample."""
        within = self.parents_within
        return Curve(
            self.scales,
            tuple(sample.component(index) for sample in self.samples),
            self.parents.component(index),
            None if within is None else within.component(index),
        )


@dataclass(frozen=True)
class Reader:
    """The draws of one generation of a scan.

    Raises `UserError` where the draws of two scales are not of the same prompts and seeds.
    """

    scan: Scan
    generation: int

    def __post_init__(self) -> None:
        first = self.scan.draw(self.generation, self.scan.scales[0])
        rows = first.metadata()
        for scale in self.scan.scales[1:]:
            draw = self.scan.draw(self.generation, scale)
            if draw.metadata() != rows:
                raise UserError(
                    f"'{draw.folder}' was not drawn with the prompts and seeds of "
                    f"'{first.folder}': remove it, and the command of the scan draws it again"
                )

    @cached_property
    def traits(self) -> list[str]:
        """The traits that the training set and all draws have."""
        draws = [self.scan.draw(self.generation, w) for w in self.scan.scales]
        sets = [set(draw.traits()) for draw in (self._training, *draws)]
        return sorted(set.intersection(*sets))

    def curve(self, trait: str) -> Curve:
        """Return a trait's images. Raises `UserError` where it is missing or not finite."""
        parents = self._sample([self._training], trait)
        return Curve(
            self.scan.scales,
            tuple(self._sample(self._at_scale(w), trait) for w in self.scan.scales),
            parents,
            self._parents_within(trait),
        )

    @property
    def _training(self) -> Draw:
        return self.scan.training(self.generation)

    def _at_scale(self, scale: float) -> list[Draw]:
        draws = [self.scan.draw(self.generation, scale)]
        if self.scan.replicates:
            draws.append(self.scan.replicate(self.generation, scale))
        return draws

    def _parents_within(self, trait: str) -> Sample | None:
        base = self.scan.base()
        if self.generation != 1 or len(base) < 2 or not mostly_distinct(self._training.captions):
            return None
        return self._sample(base, trait)

    @cached_property
    def _codes(self) -> Mapping[str, int]:
        draws = (self._training, *self._at_scale(self.scan.scales[0]), *self.scan.base())
        texts = (text for draw in draws for text in draw.captions)
        return {text: code for code, text in enumerate(dict.fromkeys(texts))}

    def _sample(self, draws: Sequence[Draw], trait: str) -> Sample:
        values = np.concatenate([_finite(draw, trait) for draw in draws])
        codes = [self._codes[text] for draw in draws for text in draw.captions]
        replicates = sum(len(draw.captions) for draw in draws[1:])
        if len(values) != len(codes):
            raise UserError(
                f"'{draws[0].folder}' has {len(values)} values of '{trait}' for {len(codes)} images"
            )
        return Sample(values, np.asarray(codes, int), replicates)


def _finite(draw: Draw, trait: str) -> Float[np.ndarray, "n k"]:
    values = np.asarray(draw.trait(trait), np.float64)
    if not np.isfinite(values).all():
        raise UserError(f"'{trait}' has values in '{draw.folder}' that are not finite")
    return values.reshape(len(values), -1)
