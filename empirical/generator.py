"""What a chain needs of a model, and the diffusion model that provides it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from empirical import model as models
from empirical.data import Population
from empirical.finetuning import WEIGHTS, detach, finetune
from empirical.recipe import Recipe
from empirical.sampling import sample
from empirical.traits import Judge

Advance = Callable[[int], None]


class Generator(Protocol):
    """Anything that can learn a population and draw another."""

    def fit(self, population: Population, generation: int, folder: Path, advance: Advance) -> None:
        """Learn `population`, to draw generation `generation`; keep what was learnt in `folder`."""
        ...

    def forget(self) -> None:
        """Become the base again."""
        ...

    def sample(self, captions: Sequence[str], seeds: Sequence[int], advance: Advance) -> np.ndarray:
        """Draw images [n, height, width, channels] (uint8); image i depends on seed i alone."""
        ...

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Map images to latent coordinates [n, d]."""
        ...

    @cached_property
    def judge(self) -> Judge | None:
        """The classifier of this kind of images, where there is one."""
        ...

    @property
    def costs(self) -> tuple[int, int]:
        """Work of one `fit`, and of one image of `sample`, as told to `advance`."""
        ...


@dataclass(frozen=True)
class DiffusionGenerator:
    """A latent diffusion model that learns by an adapter and draws by guided sampling."""

    model: models.Model
    recipe: Recipe

    def fit(self, population: Population, generation: int, folder: Path, advance: Advance) -> None:
        """Finetune on a population, from the base model or from the previous adapter."""
        previous = None
        if self.recipe.finetune.start_from == "previous" and generation > 1:
            previous = folder.parent / f"gen_{generation - 1:03d}" / "lora" / WEIGHTS
        finetune(
            self.model,
            population,
            self.recipe.finetune,
            self.recipe.seed,
            generation,
            folder,
            previous,
            advance,
        )

    def forget(self) -> None:
        """Take the adapter out of the model."""
        detach(self.model)

    def sample(self, captions: Sequence[str], seeds: Sequence[int], advance: Advance) -> np.ndarray:
        """Draw one batch of images by guided sampling."""
        table = self.recipe.generate
        return sample(
            self.model, captions, seeds, table.guidance, table.sampler, table.steps, advance
        )

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Return the means of the VAE's posteriors [n, d]."""
        return self.model.encode(images)[0].flatten(1).numpy()

    @cached_property
    def judge(self) -> Judge | None:
        """Return the classifier that lies in the model's folder, if any."""
        folder = self.model.folder / "classifier"
        if not (folder / "model.safetensors").is_file():
            return None
        from empirical.digits import classifier, dataset

        network = classifier.load(folder)

        def look(images: np.ndarray) -> tuple[np.ndarray, list[str]]:
            features, labels = classifier.judge(network, images[..., 0] / 255)
            return features, [dataset.CAPTIONS[label] for label in labels]

        return Judge(dataset.CAPTIONS, look)

    @property
    def costs(self) -> tuple[int, int]:
        """Image passes of the denoiser: forward and backward count as three."""
        table = self.recipe.finetune
        return 3 * table.steps * table.batch_size, self.recipe.generate.steps
