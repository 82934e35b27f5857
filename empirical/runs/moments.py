"""Trait moments: mean and variance of every trait, within and between families.

A family is the set of images of one prompt. All variances have ddof = 1. Where most prompts have
one image, V_W and V_B come from further images that were drawn only to be measured; the column
``how`` of a table names the way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from empirical.recipe import mostly_distinct

COLUMNS = (
    "generation", "feature", "component", "n", "mean", "variance", "within", "between", "how",
)  # fmt: skip
# families: of the images themselves. replicates: with further images of the same prompts.
# base model: V_W is that of the base model without guidance, V_B the rest of the variance. total:
# neither can be separated.
How = Literal["families", "replicates", "base model", "total"]


@dataclass(frozen=True)
class Replicates:
    """Images of the same prompts that were drawn only to be measured: their prompts, and
    ``trait(name)`` [n, k]. Those of generation 0 are of the base model (`of_base`)."""

    captions: Sequence[str]
    trait: Callable[[str], Shaped[np.ndarray, "n k"]]
    of_base: bool = False


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
    centres, sizes, within = _families(z, families)
    undefined = np.full(z.shape[1], np.nan)
    return {
        "n": np.full(z.shape[1], len(z)),
        "mean": z.mean(axis=0),
        "variance": z.var(axis=0, ddof=1) if len(z) > 1 else undefined,
        "within": within,
        "between": centres.var(axis=0, ddof=1) if len(sizes) > 1 else undefined,
    }


def separated(
    features: Shaped[np.ndarray, "n k"],
    families: Sequence[str],
    more: Shaped[np.ndarray, "m k"],
    more_families: Sequence[str],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return V_W and V_B of prompts from their images and replicates together.

    With S^2 the variance of the means of n_c images each, V_B = S^2 - V_W mean(1/n_c): free of
    the sampling error of means, and so at times below 0. For two images each, V_W is half the mean
    squared difference. nan where undefined.
    """
    z = np.concatenate([features, more]).astype(np.float64)
    centres, sizes, within = _families(z, [*families, *more_families])
    if len(sizes) < 2:
        return within, np.full(z.shape[1], np.nan)
    return within, centres.var(axis=0, ddof=1) - within * np.mean(1 / sizes)


def by_base_model(
    features: Shaped[np.ndarray, "n k"], base: Float[np.ndarray, " k"]
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return V_W and V_B of real images, of which no prompt has a second one.

    V_W is taken to be that of the base model, `base`, at most the variance, and V_B the variance
    less V_W.
    """
    variance = np.asarray(features, np.float64).var(axis=0, ddof=1)
    within = np.minimum(base, variance)
    return within, variance - within


def _families(
    z: Float[np.ndarray, "n k"], families: Sequence[str]
) -> tuple[Float[np.ndarray, "c k"], Shaped[np.ndarray, " c"], Float[np.ndarray, " k"]]:
    """Return the means and sizes of families, and V_W pooled over them."""
    _, family = np.unique(np.asarray(families), return_inverse=True)
    sizes = np.bincount(family)
    centres = np.zeros((len(sizes), z.shape[1]))
    np.add.at(centres, family, z)
    centres /= sizes[:, None]
    freedom = len(z) - len(sizes)
    squares = np.square(z - centres[family]).sum(axis=0)
    return centres, sizes, squares / freedom if freedom else np.full(z.shape[1], np.nan)


def table(
    generation: int,
    features: Mapping[str, Shaped[np.ndarray, "n _"]],
    families: Sequence[str],
    replicates: Replicates | None = None,
    distinct: bool | None = None,
) -> pd.DataFrame:
    """Return the moments of one generation, a row for each component of each trait.

    Where most prompts have one image, `replicates` separate V_W and V_B (see `separated`); of
    generation 0 the base model does (see `by_base_model`). `distinct` tells whether most prompts
    of the run have one image; by default those of this generation decide.
    """
    distinct = mostly_distinct(families) if distinct is None else distinct
    frames = []
    for name, values in sorted(features.items()):
        columns: dict[str, object] = dict(moments(values, families))
        columns["how"] = "families" if len(set(families)) < len(families) else "total"
        if distinct:
            if replicates is not None:
                columns |= _by_replicates(values, families, name, replicates)
            elif columns["how"] == "total":
                columns["between"] = np.full(values.shape[1], np.nan)
        rows = {"generation": generation, "feature": name, "component": range(values.shape[1])}
        frames.append(pd.DataFrame(rows | columns))
    return pd.DataFrame(pd.concat(frames, ignore_index=True)[list(COLUMNS)])


def _by_replicates(
    values: Shaped[np.ndarray, "n k"], families: Sequence[str], name: str, replicates: Replicates
) -> dict[str, object]:
    more = replicates.trait(name)
    if not replicates.of_base:
        within, between = separated(values, families, more, replicates.captions)
        return {"within": within, "between": between, "how": "replicates"}
    _, _, base = _families(np.asarray(more, np.float64), replicates.captions)
    within, between = by_base_model(values, base)
    return {"within": within, "between": between, "how": "base model"}
