"""The classifier of an embedded model: features and predicted captions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from empirical.errors import UserError
from empirical.measuring import traits

WEIGHTS = "digits"
_EMBEDDED = Path(__file__).parents[2] / "models"


@dataclass(frozen=True)
class ClassifierExtractor:
    """The classifier of digits in a folder; loaded at its first prediction."""

    folder: Path

    @cached_property
    def classifier(self) -> traits.Classifier:
        """Return the captions that it knows, and its `predict`."""
        from empirical.digits import dataset

        return traits.Classifier(dataset.CAPTIONS, self.predict)

    def predict(
        self, images: UInt8[np.ndarray, "n h w c"]
    ) -> tuple[Float[np.ndarray, "n 64"], list[str]]:
        """Return features [n, 64] and predicted captions of images [n, 32, 32, 1] (uint8)."""
        from empirical.digits import classifier, dataset

        if images.shape[1:] != (dataset.SIDE, dataset.SIDE, 1):
            rows, columns, channels = images.shape[1:]
            raise UserError(
                f"the classifier of digits sees grey images of {dataset.SIDE} x {dataset.SIDE} "
                f"pixels, not {rows} x {columns} with {channels} channels: name another extractor"
            )
        features, labels = classifier.predict(self._network, images[..., 0] / 255)
        return features, [dataset.CAPTIONS[label] for label in labels]

    def images(self, images: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n 64"]:
        """Return features [n, 64] of images [n, 32, 32, 1] (uint8)."""
        return self.predict(images)[0]

    def texts(self, captions: Sequence[str]) -> None:
        """Return None: it embeds no captions."""
        return

    @cached_property
    def _network(self):
        from empirical.digits import classifier

        return classifier.load(self.folder)


def folder_of(model: str) -> Path | None:
    """Return the classifier's folder of an embedded model or a pipeline folder, if it has one."""
    base = _EMBEDDED / model if (_EMBEDDED / model).is_dir() else Path(model)
    folder = base / "classifier"
    return folder if (folder / "model.safetensors").is_file() else None


def load(weights: str, offline: bool = False) -> ClassifierExtractor:
    """Return the classifier of a model, an embedded one or a pipeline folder."""
    folder = folder_of(weights)
    if folder is None:
        raise UserError(f"the model '{weights}' has no classifier, as 'digits' has")
    return ClassifierExtractor(folder)
