"""Trait time series: what theories are fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from empirical.errors import UserError
from empirical.records import Run


@dataclass(frozen=True)
class Series:
    """Family means and within-family variance of one trait down a chain.

    With G generations after generation 0, C families and D components (1 for a scalar trait), in
    units of generation 0's standard deviation, component by component, around its mean:
    `means` [G + 1, C, D]; `within` [G + 1, D], pooled over families, ddof = 1; `dof` [G + 1, D],
    the degrees of freedom of `within`, fewer than n - C where the trait has heavy tails in that
    generation;
    `sizes` [C], images per family. `centre` and `scale` [D] lead back to feature units.
    `restarts`: whether every generation starts from the base model.
    """

    run: str
    trait: str
    means: np.ndarray
    within: np.ndarray
    dof: np.ndarray
    sizes: np.ndarray
    centre: np.ndarray
    scale: np.ndarray
    restarts: bool

    @property
    def generations(self) -> int:
        """Number of generations after generation 0."""
        return len(self.means) - 1

    @property
    def between(self) -> np.ndarray:
        """Variance of the family means [G + 1, D], ddof = 1."""
        return self.means.var(axis=1, ddof=1)


def series(run: Run, trait: str, components: Sequence[int] | None = None) -> Series:
    """Derive the series of a stored trait, of all or some of its components.

    Components without variance within families in generation 0 (a border that is always black)
    are left out. Raises `UserError` where fewer than two generations are complete, where no
    component varies, or where families are single images.
    """
    generations = run.generations()
    if len(generations) < 2:
        raise UserError(f"the run '{run.folder}' has no generation after generation 0 to fit yet")
    values = [g.trait(trait).astype(np.float64) for g in generations]
    if components is not None:
        missing = [c for c in components if not 0 <= c < values[0].shape[1]]
        if missing:
            raise UserError(
                f"trait '{trait}' has no component {missing[0]}, allowed are 0 to "
                f"{values[0].shape[1] - 1}"
            )
        values = [z[:, list(components)] for z in values]
    _, family = np.unique(np.asarray(generations[0].captions), return_inverse=True)
    sizes = np.bincount(family)
    if len(family) == len(sizes) or len(sizes) < 2:
        raise UserError(
            f"the run '{run.folder}' has {len(family)} images of {len(sizes)} prompts: a fit needs "
            f"two prompts or more, and more images than prompts"
        )
    means = np.stack([_family_means(z, family, sizes) for z in values])
    spare = len(family) - len(sizes)
    rest = [z - m[family] for z, m in zip(values, means, strict=True)]
    within = np.stack([np.square(r).sum(axis=0) / spare for r in rest])
    scale = values[0].std(axis=0)
    # A millionth of the typical variance is rounding, not a trait.
    varies = (within[0] > 1e-6 * np.median(within[0])) & (scale > 0)
    # What has collapsed altogether keeps a finite logarithm.
    within = np.maximum(within, 1e-9 * within[0])
    if not varies.any():
        raise UserError(
            f"trait '{trait}' of '{run.folder}' does not vary within prompts in generation 0"
        )
    kept = np.flatnonzero(varies)
    centre = values[0].mean(axis=0)
    dof = np.stack([_degrees_of_freedom(r, spare) for r in rest])
    return Series(
        run.name,
        trait,
        ((means - centre) / np.where(scale > 0, scale, 1))[..., kept],
        (within / np.where(scale > 0, scale, 1) ** 2)[:, kept],
        dof[:, kept],
        sizes,
        centre[kept],
        scale[kept],
        run.recipe.finetune.start_from == "base",
    )


def _family_means(z: np.ndarray, family: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    sums = np.zeros((len(sizes), z.shape[1]))
    np.add.at(sums, family, z)
    return sums / sizes[:, None]


def _degrees_of_freedom(rest: np.ndarray, spare: int) -> np.ndarray:
    """Match Var(s^2) = (mu_4 - V^2)/n of the trait at hand to that of V chi2_dof/dof, 2 V^2/dof."""
    n = len(rest)
    kurtosis = np.power(rest, 4).mean(axis=0) / np.square(np.square(rest).mean(axis=0)).clip(1e-300)
    return np.clip(2 * spare / np.maximum(kurtosis - 1, 2 * spare / n), 1, spare)
