"""The interface of a chain to a model, and its implementation by a diffusion model."""

from collections.abc import Sequence
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float, UInt8

from empirical.data.real_images import Population
from empirical.errors import UserError
from empirical.generator import trainable
from empirical.generator.finetuning import finetune
from empirical.generator.sampling import sample
from empirical.guidance import Constant, GuidanceRule
from empirical.measuring.extractors.classifier import ClassifierExtractor
from empirical.measuring.traits import Classifier
from empirical.pipeline import model as models
from empirical.progress import Progress
from empirical.recipe import Settings


class Generator(Protocol):
    """A model that learns a population and draws another."""

    def fit(
        self, population: Population, generation: int, folder: Path, progress: Progress
    ) -> None:
        """Learn `population`, to draw generation `generation`; save the weights in `folder`."""
        ...

    def unload(self) -> None:
        """Return to the base model."""
        ...

    def sample(
        self, captions: Sequence[str], seeds: Sequence[int], progress: Progress
    ) -> UInt8[np.ndarray, "n h w c"]:
        """Draw images [n, height, width, channels] (uint8); image i depends on seed i alone."""
        ...

    def sample_unguided(
        self, captions: Sequence[str], seeds: Sequence[int], progress: Progress
    ) -> UInt8[np.ndarray, "n h w c"]:
        """Draw as `sample` does, with the same randomness for a seed, but without guidance."""
        ...

    def encode(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Map images to latent coordinates [n, d]."""
        ...

    @cached_property
    def classifier(self) -> Classifier | None:
        """The classifier of this kind of images, where there is one."""
        ...

    @property
    def costs(self) -> tuple[int, int]:
        """Work of one `fit`, and of one image of `sample`, as `progress` is called with it."""
        ...


def costs(settings: Settings) -> tuple[int, int]:
    """Return the work of finetuning a diffusion model once, and of drawing one image, in image
    passes of the denoiser: forward and backward count as three."""
    table = settings.finetune
    return 3 * table.steps * table.batch_size, settings.generate.steps


class DiffusionGenerator:
    """A latent diffusion model that is finetuned and draws by guided sampling."""

    def __init__(self, model: models.Model, settings: Settings) -> None:
        self.model = model
        self.settings = settings
        self.generation = 0

    def fit(
        self, population: Population, generation: int, folder: Path, progress: Progress
    ) -> None:
        """Finetune on a population, from the base model or from the previous generation's."""
        table, remedy = self.settings.finetune, self.settings.remedy
        previous = self._begin(generation, folder)
        finetune(
            self.model,
            population,
            table,
            self.settings.seed,
            generation,
            folder,
            previous,
            0.0 if remedy is None else remedy.latent_noise(),
            progress,
        )

    def load(self, generation: int, folder: Path) -> None:
        """Load what a generation has learnt from its folder; 0 is the base model.

        Raises `UserError` where its weights are not there.
        """
        if generation == 0:
            self.unload()
            return
        table = self.settings.finetune
        if not trainable.is_saved(self.model, table, folder):
            raise UserError(
                f"'{folder}' holds no weights of generation {generation}, without which the "
                f"generation cannot be drawn again"
            )
        trainable.load(self.model, table, [*self._begin(generation, folder), folder])

    def _begin(self, generation: int, folder: Path) -> list[Path]:
        """Prepare the weaker model, if any; return the folders whose weights come first."""
        table, weak = self.settings.finetune, self.settings.generate.guidance.weak
        self.generation = generation
        if weak is not None:
            # Before finetuning: made in `sample`, it would unload the finetuned weights.
            _ = self._weak
        previous = []
        if table.start_from == "previous":
            previous = [_folder(folder, number) for number in range(1, generation)]
        if weak == "previous":
            earlier = [_folder(folder, generation - 1)] if generation > 1 else []
            trainable.load(self._weak, table, previous or earlier)
        return previous

    def unload(self) -> None:
        """Return to the base model."""
        self.generation = 0
        trainable.unload(self.model)

    def sample(
        self, captions: Sequence[str], seeds: Sequence[int], progress: Progress
    ) -> UInt8[np.ndarray, "n h w c"]:
        """Draw one batch of images by guided sampling."""
        return self.sample_by(self.settings.generate.guidance, captions, seeds, progress)

    def sample_unguided(
        self, captions: Sequence[str], seeds: Sequence[int], progress: Progress
    ) -> UInt8[np.ndarray, "n h w c"]:
        """Draw one batch of images at scale 1: the prompt is followed, and nothing amplified."""
        return self.sample_by(Constant(rule="constant", scale=1.0), captions, seeds, progress)

    def sample_by(
        self,
        guidance: GuidanceRule,
        captions: Sequence[str],
        seeds: Sequence[int],
        progress: Progress,
    ) -> UInt8[np.ndarray, "n h w c"]:
        """Draw one batch of images by another guidance rule than the recipe's."""
        table = self.settings.generate
        with ExitStack() as contexts:
            contexts.enter_context(self.model.drawing())
            if guidance.weak is not None:
                contexts.enter_context(self._weak.drawing())
            return sample(
                self.model,
                captions,
                seeds,
                guidance,
                table.sampler,
                table.steps,
                progress,
                generation=self.generation,
                weak=None if guidance.weak is None else self._weak.denoise,
            )

    @cached_property
    def _weak(self) -> models.Model:
        """A second denoiser, for rules that guide by a weaker model."""
        trainable.unload(self.model)
        return replace(self.model, denoiser=deepcopy(self.model.unet))

    def encode(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Return the means of the VAE's posteriors [n, d]."""
        return self.model.encode(images)[0].flatten(1).numpy()

    @cached_property
    def classifier(self) -> Classifier | None:
        """Return the classifier that lies in the model's folder, if any."""
        folder = self.model.folder / "classifier"
        has_weights = (folder / "model.safetensors").is_file()
        return ClassifierExtractor(folder).classifier if has_weights else None

    @property
    def costs(self) -> tuple[int, int]:
        """Image passes of the denoiser: forward and backward count as three."""
        return costs(self.settings)


def _folder(beside: Path, number: int) -> Path:
    return beside.with_name(f"gen_{number:03d}")
