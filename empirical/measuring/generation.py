"""Measuring generations of a source: every trait of the images, and sets against references.

A chain measures each generation as it is made, `measuring.finished` finished runs and folders;
both see generations through a `Source`, and take samples and references from `Samples`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from threadpoolctl import threadpool_limits

from empirical import files
from empirical.errors import UserError
from empirical.measuring import extractors, metrics, sources
from empirical.measuring.metrics import (
    GENERATION_0,
    HELD_OUT,
    PREVIOUS,
    Measurement,
    Sample,
    every_measure,
)
from empirical.measuring.metrics.intervals import RESAMPLES
from empirical.measuring.sources import Captions, Source
from empirical.measuring.traits import View, every_trait
from empirical.runs.draws import Draw, Measured
from empirical.runs.record import Generation, Run
from empirical.seeds import seed_of

if TYPE_CHECKING:
    from empirical.generator.diffusion import Generator


def measure(
    generator: "Generator",
    chain: Run,
    generation: Generation,
    reference: UInt8[np.ndarray, "n h w c"] | None,
    seed: int = 0,
) -> None:
    """Measure the images as they lie on disk; write ``features/`` and ``metrics.json``.

    Sets of images are compared in the classifier's features, or in the leading principal
    components of the latents where there is no classifier: with generation 0, with the generation
    before, and with held-out real images, where there are any; distances to the nearest image also
    with what the generation learnt from.
    """
    number = generation.number
    source = sources.of_chain(chain, number, generator.encode, generator.classifier, reference)
    view, captions = source.view(number)
    # Sums over several threads differ in their last bits from those over one.
    with threadpool_limits(1, user_api="blas"):
        _write_traits(view, generation)
        samples = Samples(source, source.space, every_measure())
        measurements = samples.measure(number, seed, view=view, captions=captions)
        main = list(samples.references(number))[-1:]
    content = metrics.summary(measurements, source.space, *main)
    files.write_json(generation.folder / "metrics.json", content)


def measure_draw(
    generator: "Generator",
    chain: Run,
    draw: Draw,
    number: int,
    images: UInt8[np.ndarray, "n h w c"],
) -> None:
    """Measure the traits of images of generation `number`'s model that are no generation."""
    source = sources.of_chain(chain, number, generator.encode, generator.classifier, None)
    view = View(images, source.encode, source.classifier, source.first)
    with threadpool_limits(1, user_api="blas"):
        _write_traits(view, draw)


def _write_traits(view: View, images: Measured) -> None:
    """Store every trait that is defined for the images."""
    for name in every_trait():
        values = view.trait(name)
        if values is not None:
            images.write(name, values)


@dataclass
class Samples:
    """The generations of a source in one feature space, each with what it is compared with.

    `space` names a trait or an extractor, `names` the measures, of which those that are defined in
    another space are left out. Samples of generation 0 and of the last one measured are kept.
    """

    source: Source
    space: str
    names: Iterable[str]
    _kept: dict[int | str, Sample] = field(default_factory=dict)

    def __post_init__(self) -> None:
        modules = every_measure()
        spaces = (None, extractors.split(self.space)[0])
        self.names = [n for n in self.names if getattr(modules[n], "FEATURES", None) in spaces]
        self._compares = any(hasattr(modules[name], "against") for name in self.names)
        self._trains = [name for name in metrics.of_training_sets() if name in self.names]

    def measure(
        self,
        number: int,
        seed: int,
        resamples: int = RESAMPLES,
        view: View | None = None,
        captions: Captions = None,
    ) -> list[Measurement]:
        """Measure a generation alone, against its references, and against its training set.

        `view` and `captions` are the generation's where they are at hand; `seed` draws the halves
        of intervals. Raises `UserError` where the space is not defined for the images.
        """
        if view is None:
            view, captions = self.source.view(number)
        # Of all samples those that this generation is compared with stay.
        needed = (0, number - 1, HELD_OUT)
        self._kept = {key: sample for key, sample in self._kept.items() if key in needed}
        references = self.references(number) if self._compares else {}
        stored = self.source.kept(number, extractors.stored_as(self.space))
        sample = self._sample(view, captions, stored)
        self._kept[number] = sample
        training = None
        if self._trains:
            training = self.source.view_of(self.source.training_images(number))
        return metrics.measurements(
            sample,
            references,
            seed_of("measures", seed, number),
            self.names,
            resamples,
            None if training is None else self._sample(training),
        )

    def references(self, number: int) -> dict[str, Sample]:
        """Return the samples that a generation is compared with, the most informative last."""
        references = {}
        if number:
            references = {PREVIOUS: self._earlier(number - 1), GENERATION_0: self._earlier(0)}
        if HELD_OUT not in self._kept:
            view = self.source.view_of(self.source.reference())
            if view is not None:
                self._kept[HELD_OUT] = self._sample(view)
        if HELD_OUT in self._kept:
            references[HELD_OUT] = self._kept[HELD_OUT]
        return references

    def _earlier(self, number: int) -> Sample:
        if number not in self._kept:
            stored = self.source.kept(number, extractors.stored_as(self.space))
            view = None if stored is not None else self.source.view(number)[0]
            self._kept[number] = self._sample(view, None, stored)
        return self._kept[number]

    def _sample(
        self,
        view: View | None,
        captions: Captions = None,
        stored: Float[np.ndarray, "n d"] | None = None,
    ) -> Sample:
        """Return images as measures see them, with predictions only where a measure needs them."""
        features = stored
        if features is None and view is not None:
            features = self.source.features(view, self.space)
        if features is None:
            raise UserError(
                f"the features '{self.space}' are not defined for these images: name others"
            )
        predicted = texts = None
        classifier = self.source.classifier
        known = (
            captions is not None
            and classifier is not None
            and set(captions) <= set(classifier.categories)
        )
        if known and "accuracy" in self.names and view is not None and view.classified is not None:
            # Where its category is right, a caption counts as predicted.
            predicted = tuple(
                caption if classifier.categories[caption] == category else category
                for caption, category in zip(captions, view.classified[1], strict=True)
            )
        if captions is not None and "clip_score" in self.names:
            texts = self.source.extractor(self.space).texts(captions)
        return Sample(features, captions, predicted, texts)
