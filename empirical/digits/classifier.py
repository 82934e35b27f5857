"""A small classifier of handwritten digits, for evaluating the embedded model.

It predicts the class, for the accuracy of a generation, and 64 features, for Fréchet distances and
diversity, both from images of 32 x 32 grey pixels in [0, 1].
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from empirical.errors import UserError
from empirical.pipeline import adapters

FEATURES = 64


class Classifier(nn.Module):
    """Three convolutions, one hidden layer of 64 units (the features), ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(24, 48, 3, padding=1), nn.BatchNorm2d(48), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(48, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(64 * 4 * 4, FEATURES),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, 10)

    def forward(
        self, images: Float[Tensor, "n 1 32 32"]
    ) -> tuple[Float[Tensor, "n 64"], Float[Tensor, "n 10"]]:
        """Map images [n, 1, 32, 32] to features [n, 64], not yet rectified, and logits [n, 10]."""
        features = self.body(images)
        return features, self.head(F.relu(features))


def load(folder: Path) -> Classifier:
    """Load a classifier from ``model.safetensors`` in a folder."""
    model = Classifier()
    weights = adapters.read(folder / "model.safetensors")
    try:
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    except RuntimeError as error:
        raise UserError(f"'{folder}' holds no classifier of digits: remove it") from error
    return model.eval()


@torch.no_grad()
def predict(
    model: Classifier, images: Float[np.ndarray, "n 32 32"], batch_size: int = 250
) -> tuple[Float[np.ndarray, "n 64"], Int[np.ndarray, " n"]]:
    """Return features [n, 64] and predicted classes [n] of grey images [n, 32, 32] in [0, 1]."""
    batches = torch.from_numpy(np.asarray(images, np.float32))[:, None].split(batch_size)
    features, logits = zip(*(model(batch) for batch in batches), strict=True)
    return torch.cat(features).numpy(), torch.cat(logits).argmax(1).numpy()


def train(
    images: Float[np.ndarray, "n 32 32"], labels: Int[np.ndarray, " n"], seed: int, epochs: int
) -> Classifier:
    """Train on grey images [n, 32, 32] in [0, 1], each time slightly shifted, turned, scaled."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    model = Classifier().train()
    x, y = torch.from_numpy(np.asarray(images, np.float32))[:, None], torch.from_numpy(labels)
    batch_size = 64
    steps = epochs * (len(x) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=draw)
        for batch in order.split(batch_size)[: len(x) // batch_size]:
            _, logits = model(_jitter(x[batch], draw))
            loss = F.cross_entropy(logits, y[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
    return model.eval()


def _jitter(x: Float[Tensor, "n 1 h w"], draw: torch.Generator) -> Float[Tensor, "n 1 h w"]:
    def uniform(width: float) -> Float[Tensor, " n"]:
        return width * (2 * torch.rand(len(x), generator=draw) - 1)

    angle, size = uniform(0.2), 1 + uniform(0.1)
    cos, sin = size * torch.cos(angle), size * torch.sin(angle)
    rows = [cos, -sin, uniform(0.125), sin, cos, uniform(0.125)]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
