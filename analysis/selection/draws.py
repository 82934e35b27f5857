"""The images of one generation as plain arrays, with the sums over families all estimators share.

Codes of prompts are the same in every sample of a generation: a code names a family (a prompt).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Sample:
    """Trait values [n, k], in feature units, and the code of each image's prompt [n].

    The last `replicates` rows are replicates: further draws of the same model with other seeds, for
    measuring only. No generation learns from them.
    """

    values: Float[np.ndarray, "n k"]
    prompts: Int[np.ndarray, " n"]
    replicates: int = 0

    @cached_property
    def codes(self) -> Int[np.ndarray, " C"]:
        """The prompts of this sample, rising."""
        return np.unique(self.prompts)

    @cached_property
    def _family(self) -> Int[np.ndarray, " n"]:
        return np.searchsorted(self.codes, self.prompts)

    @cached_property
    def sizes(self) -> Float[np.ndarray, " C"]:
        """Number of images of each prompt."""
        return np.bincount(self._family).astype(float)

    @cached_property
    def means(self) -> Float[np.ndarray, "C k"]:
        """Mean of each prompt, in the order of `codes`."""
        return self.by_prompt(self.values) / self.sizes[:, None]

    @cached_property
    def deviations(self) -> Float[np.ndarray, "n k"]:
        """Deviation of each image from the mean of its prompt."""
        return self.values - self.means[self._family]

    @property
    def freedom(self) -> int:
        """Degrees of freedom within prompts, n - C."""
        return len(self.values) - len(self.codes)

    @cached_property
    def covariance(self) -> Float[np.ndarray, "k k"]:
        """P: covariance within prompts, pooled, divisor n - C; nan without freedom."""
        if not self.freedom:
            return np.full((self.values.shape[1],) * 2, np.nan)
        return self.deviations.T @ self.deviations / self.freedom

    @cached_property
    def within(self) -> float:
        """V_W, averaged over components: tr P / k."""
        if not self.freedom:
            return float("nan")
        return float(np.square(self.deviations).sum()) / self.freedom / self.values.shape[1]

    def within_variance(self) -> float:
        """Return the variance of V_W over images, of normal traits whose V_W differs by prompt."""
        weights = self.sizes * (self.sizes - 1) / max(self.freedom, 1)
        return float((np.square(weights) * self.error_of_errors()).sum())

    @cached_property
    def dimension(self) -> float:
        """Effective dimension of P, (tr P)^2 / tr P^2, at least 1; both are without bias for
        normal traits (Wishart moments)."""
        nu, k = self.freedom, self.values.shape[1]
        if k == 1 or nu < 3:
            return 1.0
        trace2 = (k * self.within) ** 2
        # tr P^2 from the smaller of two products: latents have more components than images.
        gram = self.deviations @ self.deviations.T if k > len(self.values) else None
        square = float(np.square(self.covariance if gram is None else gram / nu).sum())
        unbiased = nu * (nu * square - trace2) / ((nu - 1) * (nu + 2))
        trace2 -= 2 * unbiased / nu
        return float(np.clip(trace2 / max(unbiased, 1e-300), 1.0, k))

    def by_prompt(self, rows: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "C m"]:
        """Return the sums of rows over the images of each prompt."""
        sums = np.zeros((len(self.codes), rows.shape[1]))
        np.add.at(sums, self._family, rows)
        return sums

    def sums_of_squares(self) -> Float[np.ndarray, " C"]:
        """Return the squared deviations within each prompt, averaged over components."""
        squares = np.square(self.deviations).mean(axis=1)
        return self.by_prompt(squares[:, None])[:, 0]

    def over_images(self, rows: Float[np.ndarray, "C m"]) -> Float[np.ndarray, "n m"]:
        """Return a row of each image's prompt."""
        return rows[self._family]

    def error_variance(self) -> Float[np.ndarray, " C"]:
        """Return the sampling variance s_c^2/n_c of each prompt's mean, averaged over components.

        A prompt with one image takes the pooled variance; nan where no prompt has two.
        """
        return self._family_variance / self.sizes

    def error_of_errors(self) -> Float[np.ndarray, " C"]:
        """Return the variance of `error_variance` as an estimate, 2 v_c^2/(nu_c d) for normal
        traits of effective dimension d; v_c^2 is without bias."""
        nu = np.where(self.sizes > 1, self.sizes - 1, self.freedom) * self.dimension
        return 2 * np.square(self.error_variance()) / (nu + 2)

    @cached_property
    def _family_variance(self) -> Float[np.ndarray, " C"]:
        squares = np.square(self.deviations).mean(axis=1, keepdims=True)
        single = self.sizes < 2
        variance = self.by_prompt(squares)[:, 0] / np.maximum(self.sizes - 1, 1)
        return np.where(single, self.within, variance)

    def component(self, index: int) -> "Sample":
        """Return one component, as a sample with k = 1."""
        return Sample(self.values[:, [index]], self.prompts, self.replicates)

    def realised(self) -> "Sample":
        """Return the images of the chain itself, without replicates."""
        if not self.replicates:
            return self
        count = len(self.values) - self.replicates
        return Sample(self.values[:count], self.prompts[:count])

    def only(self, codes: Int[np.ndarray, " m"]) -> "Sample":
        """Return the images of some prompts; replicates stay replicates."""
        chosen: Bool[np.ndarray, " n"] = np.isin(self.prompts, codes)
        replicates = int(chosen[len(chosen) - self.replicates :].sum()) if self.replicates else 0
        return Sample(self.values[chosen], self.prompts[chosen], replicates)


@dataclass(frozen=True)
class Draws:
    """One generation: what it learnt from, and what its model draws.

    previous: guided images of the generation before (of generation 0: the real ones), with their
    replicates. training: the realised training set. unguided and guided: draws of the finetuned
    model at scale 1 and at the chain's scale, row by row of the same prompt and seed; replicates
    last. base: draws of the base model at scale 1, where there are any. distinct: whether most
    prompts of the run have one image, so that only replicates tell V_W and V_B apart.

    Raises ValueError where unguided and guided rows are not of the same prompts.
    """

    previous: Sample
    training: Sample
    unguided: Sample
    guided: Sample
    base: Sample | None = None
    distinct: bool = False

    def __post_init__(self) -> None:
        if not np.array_equal(self.unguided.prompts, self.guided.prompts):
            raise ValueError("unguided and guided images must be of the same prompts, row by row.")

    def component(self, index: int) -> "Draws":
        """Return one component of every sample."""
        return Draws(
            self.previous.component(index),
            self.training.component(index),
            self.unguided.component(index),
            self.guided.component(index),
            None if self.base is None else self.base.component(index),
            self.distinct,
        )

    @cached_property
    def replaced(self) -> bool:
        """Whether the training set is the previous generation, image by image."""
        return _same_images(self.previous.realised(), self.training)

    @property
    def parents(self) -> Sample:
        """The sample that tells V_W of the training set: with its replicates, where it is the
        previous generation."""
        return self.previous if self.replaced else self.training


def _same_images(first: Sample, second: Sample) -> bool:
    if first.values.shape != second.values.shape:
        return False
    a, b = (np.column_stack([s.prompts, s.values]) for s in (first, second))
    return np.array_equal(a[np.lexsort(a.T)], b[np.lexsort(b.T)])
