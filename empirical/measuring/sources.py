"""Generations of images to be measured, whether of a run or of any folders.

Nothing here is loaded before it is needed: pixel traits need no torch, and a run of many large
images is read one generation at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from empirical.data import recorded, training_set
from empirical.errors import UserError
from empirical.measuring import extractors, image_folder
from empirical.measuring.extractors import Extractor, classifier
from empirical.measuring.traits import Classifier, View, every_trait
from empirical.runs.record import Generation, Run

Captions = tuple[str, ...] | None
Encode = Callable[[UInt8[np.ndarray, "n h w c"]], Float[np.ndarray, "n d"]]


@dataclass(frozen=True)
class Source:
    """Generations in order, and what can be asked of each.

    `labels` name them; `read` returns images and captions of one, `kept` a trait of one that is
    stored, else None; `reference` returns real images outside of all, if there are any; `encode`
    maps images to latents, `classifier` is None where there is none; `space` names the features
    that measures compare if nothing else is said; `offline` forbids downloads; `training_images`
    returns those of one, where known and different from the previous generation.
    """

    labels: tuple[str, ...]
    read: Callable[[int], tuple[UInt8[np.ndarray, "n h w c"], Captions]]
    kept: Callable[[int, str], Float[np.ndarray, "n d"] | None]
    reference: Callable[[], UInt8[np.ndarray, "n h w c"] | None]
    encode: Encode
    classifier: Classifier | None
    space: str
    offline: bool = False
    training_images: Callable[[int], UInt8[np.ndarray, "n h w c"] | None] = lambda number: None
    _loaded: dict[str, Extractor] = field(default_factory=dict)
    _first: dict[str, Float[np.ndarray, "n _"] | None] = field(default_factory=dict)

    def view(self, number: int) -> tuple[View, Captions]:
        """Return a generation as traits see it, and its captions."""
        images, captions = self.read(number)
        return View(images, self.encode, self.classifier, self.first if number else None), captions

    def view_of(self, images: UInt8[np.ndarray, "n h w c"] | None) -> View | None:
        """Return images that are of no generation as traits see them."""
        return None if images is None else View(images, self.encode, self.classifier, self.first)

    def first(self, name: str) -> Float[np.ndarray, "n d"] | None:
        """Return a trait of generation 0, kept or measured once."""
        if name not in self._first:
            kept = self.kept(0, name)
            self._first[name] = self.view(0)[0].trait(name) if kept is None else kept
        return self._first[name]

    def extractor(self, name: str) -> Extractor:
        """Load an extractor, once."""
        if name not in self._loaded:
            self._loaded[name] = extractors.load(name, self.offline)
        return self._loaded[name]

    def features(self, view: View, name: str) -> Float[np.ndarray, "n d"] | None:
        """Measure a trait, or deep features by the name of an extractor, on a view."""
        if name in every_trait():
            values = view.trait(name)
            if values is not None or name not in extractors.every_extractor():
                return values
        return self.extractor(name).images(view.images)


def of_run(run: Run, offline: bool = False, reference: Path | None = None) -> Source:
    """Return the complete generations of a run.

    `reference` is a folder of real images, in place of those that the run's data have left over.
    """
    generations, name = run.generations(), run.recipe.settings.model.name

    @cache
    def held_out() -> UInt8[np.ndarray, "n h w c"] | None:
        if reference is not None:
            _, side, _, channels = generations[0].images([0]).shape
            mode = "L" if channels == 1 else "RGB"
            return image_folder.read(reference, side, mode)[0]
        return recorded.held_out(run)

    return _of_generations(run, generations, _Encoder(name), _classifier(name), held_out, offline)


def of_chain(
    run: Run,
    number: int,
    encode: Encode,
    classifier: Classifier | None,
    reference: UInt8[np.ndarray, "n h w c"] | None,
) -> Source:
    """Return the generations of a chain at work, up to the one whose images were drawn last.

    `encode`, `classifier` and the held-out images `reference` are those that the chain has loaded.
    """
    generations = [run.generation(earlier) for earlier in range(number + 1)]
    return _of_generations(run, generations, encode, classifier, lambda: reference)


def _of_generations(
    run: Run,
    generations: Sequence[Generation],
    encode: Encode,
    classifier: Classifier | None,
    reference: Callable[[], UInt8[np.ndarray, "n h w c"] | None],
    offline: bool = False,
) -> Source:
    def kept(number: int, trait: str) -> Float[np.ndarray, "n d"] | None:
        stored = trait in generations[number].traits()
        return generations[number].trait(trait) if stored else None

    return Source(
        tuple(f"generation {generation.number}" for generation in generations),
        lambda number: (generations[number].images(), tuple(generations[number].captions)),
        kept,
        reference,
        encode,
        classifier,
        "latent_pc" if classifier is None else "classifier",
        offline,
        lambda number: training_set.training_images_if_different(run, generations[number].number),
    )


def of_folders(
    folders: Sequence[Path],
    reference: Path | None = None,
    model: str | None = None,
    side: int | None = None,
    offline: bool = False,
) -> Source:
    """Return folders of images as generations, the first of them as generation 0.

    `reference` is a folder of real images; `model` the one whose latents, and classifier if any,
    are to be used. Where any has colours, all are taken as RGB. Raises `UserError` where folders
    differ in the size of images.
    """

    @cache
    def original(folder: Path) -> tuple[UInt8[np.ndarray, "n h w c"], Captions]:
        return image_folder.read(folder, side)

    @cache
    def channels() -> int:
        """Return 3 where any folder has colours: grey images lose nothing by being RGB."""
        every = [*folders, *([] if reference is None else [reference])]
        return max(original(folder)[0].shape[-1] for folder in every)

    @cache
    def matched(folder: Path) -> tuple[UInt8[np.ndarray, "n h w c"], Captions]:
        images, captions = original(folder)
        size = original(folders[0])[0].shape[1:3]
        if images.shape[1:3] != size:
            raise UserError(
                f"the images of '{folder}' have {_shape(images.shape[1:3])}, those of "
                f"'{folders[0]}' {_shape(size)}: give --side to make the sizes equal"
            )
        if images.shape[-1] < channels():
            images = np.repeat(images, 3, axis=-1)
        return images, captions

    classifier = None if model is None else _classifier(model)
    return Source(
        tuple(str(folder) for folder in folders),
        lambda number: matched(folders[number]),
        lambda number, trait: None,
        lambda: None if reference is None else matched(reference)[0],
        _Encoder(model),
        classifier,
        "classifier" if classifier else "latent_pc" if model else "pixels",
        offline,
    )


@dataclass(frozen=True)
class _Encoder:
    """The encoder of a model, loaded at its first call."""

    name: str | None

    def __call__(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        channels = self._model.channels
        if images.shape[-1] != channels:
            raise UserError(
                f"the model '{self.name}' encodes images of {channels} channels, not of "
                f"{images.shape[-1]}"
            )
        return self._model.encode(images)[0].flatten(1).numpy()

    @cached_property
    def _model(self):
        if self.name is None:
            raise UserError("latents are those of a model: name one with --model")
        from empirical.pipeline import model

        return model.load(self.name)


def _classifier(model: str) -> Classifier | None:
    """Return the classifier in a model's folder, loaded at its first call."""
    folder = classifier.folder_of(model)
    return None if folder is None else classifier.ClassifierExtractor(folder).classifier


def _shape(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels"
