"""The classifier of an embedded model: features and predicted categories."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from empirical.classifier import config
from empirical.embedded import MODELS, SIDE
from empirical.errors import UserError
from empirical.measuring import traits

WEIGHTS = "digits"


@dataclass(frozen=True)
class ClassifierExtractor:
    """The classifier in a folder; loaded when it is needed."""

    folder: Path

    @cached_property
    def classifier(self) -> traits.Classifier:
        """Return the captions that it knows, and its `predict`."""
        return traits.Classifier(config.read(self.folder).category_of, self.predict)

    def predict(
        self, images: UInt8[np.ndarray, "n h w c"]
    ) -> tuple[Float[np.ndarray, "n 64"], list[str]]:
        """Return features [n, 64] and categories of images [n, 32, 32, channels] (uint8)."""
        from empirical.classifier import network

        settings = self._network.config
        if images.shape[1:] != (SIDE, SIDE, settings.channels):
            rows, columns, channels = images.shape[1:]
            raise UserError(
                f"the classifier '{self.folder.parent.name}' sees images of {SIDE} x {SIDE} pixels "
                f"with {_counted(settings.channels)}, not {rows} x {columns} with "
                f"{_counted(channels)}: name another extractor"
            )
        features, logits = network.predict(self._network, images)
        return features, [settings.captions[label] for label in network.classes(logits)]

    def images(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n 64"]:
        """Return features [n, 64] of images [n, 32, 32, channels] (uint8)."""
        return self.predict(images)[0]

    def texts(self, captions: Sequence[str]) -> None:
        """Return None: it embeds no captions."""
        return

    @cached_property
    def _network(self):
        from empirical.classifier import network

        return network.load(self.folder)


def folder_of(model: str) -> Path | None:
    """Return the classifier's folder of an embedded model or a pipeline folder, if it has one."""
    base = MODELS / model if (MODELS / model).is_dir() else Path(model)
    folder = base / "classifier"
    return folder if (folder / "model.safetensors").is_file() else None


def load(weights: str, offline: bool = False) -> ClassifierExtractor:
    """Return the classifier of a model, an embedded one or a pipeline folder."""
    folder = folder_of(weights)
    if folder is None:
        raise UserError(f"the model '{weights}' has no classifier, as 'digits' has")
    return ClassifierExtractor(folder)


def _counted(channels: int) -> str:
    return "1 channel" if channels == 1 else f"{channels} channels"
