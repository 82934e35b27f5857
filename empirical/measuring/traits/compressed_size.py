"""Compressed size: a bound on the description length of an image."""

import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from empirical.measuring.traits import View


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return the bytes [n, 1] of each image as a PNG of highest compression (level 9).

    PNG rather than JPEG: it is lossless, has no quality setting, and the same pixels give the
    same bytes with the same libraries (zlib and libpng, which come with pillow; another build may
    differ by a percent). An upper bound on the description length, with some 60 bytes of header.
    It grows with noise as well as with structure, and with the size: compare equal sizes only.
    Source: Donderi 2006, Psychological Bulletin 132, 73 (compressed size as visual complexity).
    """
    return np.array([[float(_size(image))] for image in view.images])


def _size(image: UInt8[np.ndarray, "h w c"]) -> int:
    buffer = io.BytesIO()
    pixels = image[..., 0] if image.shape[-1] == 1 else image
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=9)
    return buffer.tell()
