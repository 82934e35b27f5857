"""The network of a classifier: logits of classes, and 64 features for distances and diversity."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from safetensors.torch import save as serialised
from torch import Tensor, nn
from torch.nn import functional as F

from empirical import files
from empirical.classifier import config as settings
from empirical.classifier.config import Config
from empirical.embedded import SIDE
from empirical.errors import UserError
from empirical.pipeline import adapters

FEATURES = 64
WEIGHTS = "model.safetensors"


class Classifier(nn.Module):
    """Three convolutions, one hidden layer of 64 units (the features), one class for each caption.

    Images are [n, channels, 32, 32] in [0, 1].
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        before = config.channels
        for width in config.widths:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width)]
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            before = width
        side = SIDE // 2 ** len(config.widths)
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * side**2, FEATURES))
        self.head = nn.Linear(FEATURES, len(config.captions))

    def forward(
        self, images: Float[Tensor, "n c 32 32"]
    ) -> tuple[Float[Tensor, "n 64"], Float[Tensor, "n classes"]]:
        """Map images to features [n, 64], not yet rectified, and logits [n, classes]."""
        features = self.body(images)
        return features, self.head(F.relu(features))


def save(model: Classifier, folder: Path) -> None:
    """Write a classifier into a folder, weights in half precision."""
    halves = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in model.state_dict().items()
    }
    files.write_bytes(folder / WEIGHTS, serialised(halves))
    settings.write(model.config, folder)


def load(folder: Path) -> Classifier:
    """Load a classifier from a folder; raises `UserError` where it holds none."""
    weights = adapters.read(folder / WEIGHTS)
    try:
        model = Classifier(settings.read(folder))
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    except RuntimeError as error:
        raise UserError(f"'{folder}' holds no classifier of images: remove it") from error
    return model.eval()


@torch.no_grad()
def predict(
    model: Classifier, images: UInt8[np.ndarray, "n 32 32 c"], batch_size: int = 250
) -> tuple[Float[np.ndarray, "n 64"], Float[np.ndarray, "n classes"]]:
    """Return features [n, 64] and logits [n, classes] of images [n, 32, 32, channels] (uint8)."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    results = [model(batch.float() / 255) for batch in pixels.split(batch_size)]
    features, logits = zip(*results, strict=True)
    return torch.cat(features).numpy(), torch.cat(logits).numpy()


def classes(logits: Float[np.ndarray, "n classes"]) -> Int[np.ndarray, " n"]:
    """Return the most probable class of each image."""
    return logits.argmax(1)
