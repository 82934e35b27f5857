"""Shared by the networks of the library transformers: loading, and preparing images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from empirical.errors import UserError
from empirical.out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

BATCH = 32


def network(kind: Any, what: str, weights: str, offline: bool) -> Any:
    """Load a network, frozen, in float32, on the device of choice; safetensors only.

    Raises `UserError` as `pretrained` does, and for weights of another network, which the library
    would fill with random numbers.
    """
    from transformers.utils import logging

    # Commands show their own progress bar.
    logging.disable_progress_bar()
    model, info = pretrained(
        kind, what, weights, offline, use_safetensors=True, output_loading_info=True
    )
    lacking = sorted([*info["missing_keys"], *map(str, info["mismatched_keys"])])
    if lacking:
        reason = f"{len(lacking)} of its tensors are missing, such as {lacking[0]}"
        raise missing(what, weights, offline, ValueError(reason))
    return model.float().eval().requires_grad_(False).to(device_of_choice())


def pretrained(kind: Any, what: str, weights: str, offline: bool, **options: Any) -> Any:
    """Load a pretrained object by `kind.from_pretrained`, from a folder or the hub.

    No code of the repository is run, and nothing is downloaded with `offline`. Raises `UserError`
    that names `what` could not be loaded, and the reason.
    """
    from safetensors import SafetensorError

    wrong = (
        OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, SafetensorError,
    )  # fmt: skip
    try:
        return kind.from_pretrained(weights, local_files_only=offline, **options)
    except wrong as error:
        if is_out_of_memory(error):
            raise
        raise missing(what, weights, offline, error) from error


def missing(what: str, weights: str, offline: bool, error: Exception) -> UserError:
    """Return the error for weights that did not load."""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    reason = reason or type(error).__name__
    if Path(weights).exists():
        return UserError(f"'{weights}' does not load as {what} in safetensors: {reason}")
    advice = f"download '{weights}' and name its folder, as in NAME:FOLDER"
    if offline:
        return UserError(f"{what} '{weights}' is not on this machine: {advice}")
    return UserError(f"{what} '{weights}' cannot be loaded, {advice}: {reason}")


@dataclass(frozen=True)
class Preparation:
    """A network's preprocessing: resize, crop to the centre, normalise."""

    shortest: int | None
    exact: tuple[int, int] | None
    crop: tuple[int, int] | None
    resample: Image.Resampling
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, image: UInt8[np.ndarray, "h w c"]) -> Float[np.ndarray, "3 rows columns"]:
        """Return one image [height, width, channels] (uint8) as [3, rows, columns] (float32)."""
        pixels = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
        picture = Image.fromarray(pixels)
        if self.shortest is not None:
            scale = self.shortest / min(picture.size)
            size = [int(side * scale) for side in picture.size]
            size[int(np.argmin(picture.size))] = self.shortest
            picture = picture.resize((size[0], size[1]), self.resample)
        elif self.exact is not None:
            picture = picture.resize(self.exact[::-1], self.resample)
        if self.crop is not None:
            rows, columns = self.crop
            left, top = (picture.width - columns) // 2, (picture.height - rows) // 2
            picture = picture.crop((left, top, left + columns, top + rows))
        values = np.asarray(picture, np.float32) / 255
        values = (values - np.float32(self.mean)) / np.float32(self.std)
        return np.moveaxis(values, -1, 0)


def preparation(what: str, weights: str, offline: bool) -> Preparation:
    """Read a network's preprocessing from its ``preprocessor_config.json``.

    Done here rather than by the library's own processors, because these need torchvision.
    """
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        config, _ = ImageProcessingMixin.get_image_processor_dict(weights, local_files_only=offline)
    except (OSError, ValueError) as error:
        raise missing(what, weights, offline, error) from error
    size = config.get("size") if config.get("do_resize", True) else None
    crop = config.get("crop_size") if config.get("do_center_crop", True) else None
    size = {"shortest_edge": size} if isinstance(size, int) else size or {}
    exact = (size["height"], size["width"]) if "height" in size else None
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    return Preparation(
        size.get("shortest_edge"),
        exact,
        (crop["height"], crop["width"]) if crop else None,
        Image.Resampling(config.get("resample", 3)),
        tuple(config["image_mean"]),
        tuple(config["image_std"]),
    )


def batches(
    images: UInt8[np.ndarray, "n h w c"], prepare: Preparation, device: Any
) -> "Iterator[Float[Tensor, 'b 3 rows columns']]":
    """Yield prepared images as tensors [batch, 3, rows, columns] on a device."""
    import torch

    for start in range(0, len(images), BATCH):
        part = np.stack([prepare(image) for image in images[start : start + BATCH]])
        yield torch.from_numpy(np.ascontiguousarray(part)).to(device)


def device_of_choice() -> Any:
    """Return this machine's GPU, or its CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
