"""Images from latents of other packages, which load no model themselves."""

import numpy as np
import torch
from jaxtyping import Float, UInt8

from empirical.errors import UserError
from empirical.pipeline.model import load


def decode(name: str, latents: Float[np.ndarray, "n d"]) -> UInt8[np.ndarray, "n h w c"]:
    """Decode the trait `latent` of images, flat, with the autoencoder of a model.

    Raises `UserError` where the model has latents of another size.
    """
    model = load(name)
    shape = model.latent_shape
    if latents.shape[1] != np.prod(shape):
        raise UserError(
            f"latents of {latents.shape[1]} numbers do not fit the model '{name}', whose latents "
            f"have the shape {tuple(shape)}"
        )
    flat = torch.from_numpy(np.asarray(latents, np.float32))
    return model.decode(flat.reshape(len(flat), *shape))
