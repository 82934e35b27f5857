"""Entropy of grey levels: how evenly an image uses its tones."""

import numpy as np
from jaxtyping import Float, UInt8

from empirical.measuring.traits import View


def measure(view: View) -> Float[np.ndarray, "n d"]:
    """Return the Shannon entropy [n, 1] of each image's histogram of 256 grey levels, in bits.

    H = -sum p log2 p, 0 for a flat image, 8 at most. It ignores where the pixels are, and
    is biased low by about (levels in use - 1) / (2 pixels ln 2) bits, which matters below a few
    thousand pixels: compare equal sizes only.
    Source: Shannon 1948; the bias is Miller 1955.
    """
    levels = np.round(view.grey * 255).astype(np.uint8)
    return np.array([[_entropy(image)] for image in levels])


def _entropy(levels: UInt8[np.ndarray, "h w"]) -> float:
    counts = np.bincount(levels.ravel(), minlength=256)
    p = counts[counts > 0] / levels.size
    # No minus zero for a flat image.
    return float(abs(-(p * np.log2(p)).sum()))
