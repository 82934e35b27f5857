"""Train the classifier of an embedded model."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from empirical.classifier.network import Classifier
from empirical.embedded import Captioned

_BATCH = 64


def train(model: Classifier, images: Captioned, seed: int, epochs: int) -> None:
    """Train a classifier in place on categories, images shifted, turned and scaled each time."""
    torch.manual_seed(seed)
    for layer in model.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()  # type: ignore[operator]
    draw = torch.Generator().manual_seed(seed)
    model.train()
    x = torch.from_numpy(images.images.copy()).permute(0, 3, 1, 2).float() / 255
    y = torch.tensor([model.config.captions.index(category) for category in images.categories])
    batch_size = min(_BATCH, len(x))
    steps = epochs * (len(x) // batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(x), generator=draw)
        for batch in order.split(batch_size)[: len(x) // batch_size]:
            _, logits = model(jitter(x[batch], draw))
            loss = F.cross_entropy(logits, y[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
    model.eval()


def jitter(x: Float[Tensor, "n c h w"], draw: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Return images shifted by up to 6 %, turned by up to 11 degrees and scaled by up to 10 %."""

    def uniform(width: float) -> Float[Tensor, " n"]:
        return width * (2 * torch.rand(len(x), generator=draw) - 1)

    angle, size = uniform(0.2), 1 + uniform(0.1)
    cos, sin = size * torch.cos(angle), size * torch.sin(angle)
    rows = [cos, -sin, uniform(0.125), sin, cos, uniform(0.125)]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(x.shape), align_corners=False)
    # Pixels from beyond the border are those of the border.
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
