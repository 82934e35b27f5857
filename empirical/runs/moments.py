"""Trait moments: mean and variance of every trait, within and between families.

A family is the set of images of one prompt. All variances have ddof = 1.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Shaped

COLUMNS = (
    "generation", "feature", "component", "n", "mean", "variance", "within", "between",
)  # fmt: skip


def moments(
    features: Shaped[np.ndarray, "n k"], families: Sequence[str]
) -> dict[str, Shaped[np.ndarray, " k"]]:
    """Return n, mean, variance, within and between for each component of features [n, k].

    variance: over all images, ddof = 1. within (V_W): pooled over families, the squared deviations
    from each family's mean over n - (number of families). between (V_B): variance of the family
    means, ddof = 1; about V_W / (images per family) of it is sampling error. Undefined moments
    (one image, one family, one image per family) are nan.
    """
    z = np.asarray(features, np.float64)
    _, family = np.unique(np.asarray(families), return_inverse=True)
    sizes = np.bincount(family)
    centres = np.zeros((len(sizes), z.shape[1]))
    np.add.at(centres, family, z)
    centres /= sizes[:, None]
    undefined = np.full(z.shape[1], np.nan)
    freedom = len(z) - len(sizes)
    return {
        "n": np.full(z.shape[1], len(z)),
        "mean": z.mean(axis=0),
        "variance": z.var(axis=0, ddof=1) if len(z) > 1 else undefined,
        "within": np.square(z - centres[family]).sum(axis=0) / freedom if freedom else undefined,
        "between": centres.var(axis=0, ddof=1) if len(sizes) > 1 else undefined,
    }


def table(
    generation: int, features: Mapping[str, Shaped[np.ndarray, "n _"]], families: Sequence[str]
):
    """Return the moments of one generation, a row for each component of each trait."""
    frames = [
        pd.DataFrame(
            {
                "generation": generation,
                "feature": name,
                "component": np.arange(values.shape[1]),
                **moments(values, families),
            }
        )
        for name, values in sorted(features.items())
    ]
    return pd.concat(frames, ignore_index=True)[list(COLUMNS)]
