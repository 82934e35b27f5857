"""Moments of prompts in place of single images, for kept runs, which leave most traits out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from analysis.selection.draws import Sample
from empirical.runs.prompts import LATENT, Prompts


@dataclass(frozen=True)
class Summary:
    """Prompt means and variances of a set of images, in feature units.

    `codes` [C] are the prompts, rising, `sizes` [C] their images and `means` [C, k] the means, with
    `replicates` images that were drawn only to be measured among them (`images` are those of the
    chain). `between_raw` [k] is the variance of the means (ddof 1), `variances_within` [k] the
    pooled one within prompts with `freedom` degrees of freedom, and `prompt_variances` [C] that of
    each prompt, averaged over components; nan where unknown. `exact`: whether means are complete,
    not those along leading axes only.
    """

    codes: Int[np.ndarray, " C"]
    sizes: Float[np.ndarray, " C"]
    means: Float[np.ndarray, "C k"]
    between_raw: Float[np.ndarray, " k"]
    variances_within: Float[np.ndarray, " k"]
    prompt_variances: Float[np.ndarray, " C"]
    freedom: int
    replicates: int = 0
    images: "Summary | None" = None
    exact: bool = True

    @cached_property
    def within(self) -> float:
        """V_W, averaged over components; nan where unknown."""
        return float(self.variances_within.mean())

    @cached_property
    def total(self) -> Float[np.ndarray, " k"]:
        """The variance of all images [k], ddof 1; nan where unknown."""
        n, C = self.sizes, len(self.codes)
        within = self.freedom * self.variances_within if self.freedom else 0.0
        if np.ptp(n) == 0:
            squares = n[0] * (C - 1) * self.between_raw
        elif self.exact:
            centred = self.means - self.mean
            squares = (n[:, None] * np.square(centred)).sum(axis=0)
        else:
            squares = np.full(self.means.shape[1], np.nan)
        return (within + squares) / (n.sum() - 1) if n.sum() > 1 else np.nan * squares

    @property
    def mean(self) -> Float[np.ndarray, " k"]:
        """The mean of all images [k]."""
        return self.sizes @ self.means / self.sizes.sum()

    def sums_of_squares(self) -> Float[np.ndarray, " C"]:
        """Return the squared deviations within each prompt, averaged over components."""
        return np.where(self.sizes > 1, (self.sizes - 1) * self.prompt_variances, 0.0)

    def error_variance(self) -> Float[np.ndarray, " C"]:
        """Return the sampling variance of each prompt's mean, averaged over components; a prompt
        with one image, and all where only the pooled variance is known, take that one."""
        known = np.isfinite(self.prompt_variances)
        return np.where(known, self.prompt_variances, self.within) / self.sizes

    def realised(self) -> "Summary":
        """Return the images of the chain itself, without replicates."""
        return self if self.images is None else self.images

    def only(self, codes: Int[np.ndarray, " m"]) -> "Summary":
        """Return the prompts of some codes, for regressions of their means; `between_raw` and
        `variances_within` stay those of all prompts."""
        chosen = np.isin(self.codes, codes)
        return replace(
            self,
            codes=self.codes[chosen],
            sizes=self.sizes[chosen],
            means=self.means[chosen],
            prompt_variances=self.prompt_variances[chosen],
            images=None,
        )


@dataclass(frozen=True)
class Summaries:
    """One generation, as `Draws` is of single images.

    `training` is None where it was not the previous generation, image by image. `squares` and
    `paired` [C] are the mean square of S_c and the variance within prompts of paired differences,
    in the order of `unguided.codes`; None where unknown.
    """

    previous: Summary
    training: Summary | None
    unguided: Summary
    guided: Summary
    base: Summary | None = None
    distinct: bool = False
    squares: Float[np.ndarray, " C"] | None = None
    paired: Float[np.ndarray, " C"] | None = None

    @property
    def parents(self) -> Summary:
        """The summary that tells V_W of the training set."""
        return self.previous


Means = Sample | Summary


def of_prompts(stored: Prompts, codes: Mapping[str, int], twin: Prompts | None = None) -> Summary:
    """Return the moments of latents of a set of images, with the replicates `twin`, if any, which
    the variances of `stored` include already; `codes` are those of prompts."""
    means, sizes = stored.means[LATENT], stored.counts.astype(float)
    C, k = means.shape
    code = np.array([codes[text] for text in stored.captions])
    order = np.argsort(code)
    unknown, unknown_within = np.full(C, np.nan), np.full(k, np.nan)
    within, each = stored.within, stored.variances
    between = unknown_within if stored.between is None else stored.between
    images = Summary(
        code[order],
        sizes[order],
        means[order],
        between,
        unknown_within if within is None else within,
        unknown if each is None else each[order],
        stored.freedom,
        exact=LATENT not in stored.rests,
    )
    if twin is None:
        return images
    rest = stored.rests.get(LATENT, 0.0)
    alone = replace(
        images,
        between_raw=means.var(axis=0, ddof=1) + rest if C > 1 else unknown_within,
        variances_within=unknown_within,
        prompt_variances=unknown,
        freedom=int(sizes.sum()) - C,
    )
    place = {text: i for i, text in enumerate(stored.captions)}
    chosen = [place[text] for text in twin.captions]
    sums, joint = sizes[:, None] * means, sizes.copy()
    sums[chosen] += twin.counts[:, None] * twin.means[LATENT]
    joint[chosen] += twin.counts
    return replace(
        images,
        sizes=joint[order],
        means=(sums / joint[:, None])[order],
        replicates=int(twin.counts.sum()),
        images=alone,
        exact=images.exact and LATENT not in twin.rests,
    )
