"""Statistics of prompts that theories need: prompt means, and the covariance within prompts.

Full runs compute it from the traits of single images; kept runs, which omit most of these, have it
in ``prompts.npz``, in half precision.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

from empirical.errors import UserError
from empirical.runs.draws import Draw, Generated, Name, replicates_of
from empirical.runs.moments import Replicates

FILE = "prompts.npz"
LATENT = "latent"
# Leading axes of the covariance within prompts and of many prompt means that are kept, and the
# most numbers of one trait's prompt means that are kept in full.
RANK, _MOST = 8, 2**14
# The greatest number of half precision is 65504.
_GREATEST = 6e4


@dataclass(frozen=True)
class Prompts:
    """Moments of the prompts of a set of images.

    `captions` are the C prompts and `counts` [C] their images; `means` maps a trait to its prompt
    means [C, k]. Where a file has them along leading principal axes only, `rests` maps the trait to
    the variance over prompts [k] (ddof 1) of what these leave out.

    Of latents, replicates included where the prompts have some: the covariance within prompts,
    pooled, with `freedom` degrees of freedom, is F F^T + diag(d), with `factor` F [k, r] along its
    leading axes and `diagonal` d [k] so that variances are exact; `between` [k] is the variance of
    prompt means (ddof 1), and `variances` [C] those within each prompt, averaged over coordinates,
    nan for one image. `squares` [C] and `paired` [C] are of unguided images: the mean square over
    coordinates of S_c, the difference of guided and unguided prompt means, and the variance within
    prompts of the differences image by image (of a prompt with one image: the pooled one), so that
    paired/n is the sampling part of squares. Each is None where it is unknown.
    """

    captions: tuple[str, ...]
    counts: Int[np.ndarray, " C"]
    means: Mapping[str, Float[np.ndarray, "C _"]]
    factor: Float[np.ndarray, "k r"] | None = None
    diagonal: Float[np.ndarray, " k"] | None = None
    rests: Mapping[str, Float[np.ndarray, " _"]] = field(default_factory=dict)
    freedom: int = 0
    between: Float[np.ndarray, " k"] | None = None
    variances: Float[np.ndarray, " C"] | None = None
    squares: Float[np.ndarray, " C"] | None = None
    paired: Float[np.ndarray, " C"] | None = None

    @property
    def covariance(self) -> Float[np.ndarray, "k k"]:
        """The covariance of latents within prompts; `UserError` where it is unknown."""
        if self.factor is None or self.diagonal is None:
            raise UserError(
                f"the trait '{LATENT}' has no covariance within prompts: it was not measured, or "
                f"every prompt has one image and no replicate"
            )
        return self.factor @ self.factor.T + np.diag(self.diagonal)

    @property
    def within(self) -> Float[np.ndarray, " k"] | None:
        """The variances of latents within prompts [k], the diagonal of `covariance`."""
        if self.factor is None or self.diagonal is None:
            return None
        return np.square(self.factor).sum(axis=1) + self.diagonal

    def packed(self) -> bytes:
        """Return the content of ``prompts.npz``, with very many means along leading axes only."""
        arrays: dict[str, Shaped[np.ndarray, "*shape"]] = {
            "captions": np.array(self.captions),
            "counts": np.asarray(self.counts, np.int32),
        }
        for name, means in self.means.items():
            arrays |= _packed_means(name, means, self.rests.get(name))
        if self.factor is not None and self.diagonal is not None:
            arrays |= {"factor": _half(self.factor), "diagonal": _half(self.diagonal)}
            arrays["freedom"] = np.array(self.freedom, np.int32)
        names = ["variances", "squares", "paired"]
        if f"mean.{LATENT}" not in arrays or self.freedom > self.counts.sum() - len(self.counts):
            # Elsewhere it is the variance of the means.
            names.append("between")
        for name in names:
            values = getattr(self, name)
            if values is not None:
                arrays[name] = np.asarray(values, np.float32)
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()


def prompts_of(
    images: Draw | Generated,
    captions: Sequence[str],
    rank: int = RANK,
    replicates: Replicates | None = None,
) -> Prompts:
    """Return the moments of prompts of a generation or of a draw with these captions.

    `replicates` of the same prompts take part in variances and covariances of latents, not in
    means, which are those of the images.
    """
    path = images.folder / FILE
    if path.is_file():
        return _read(path)
    prompts = tuple(dict.fromkeys(captions))
    family = _families(captions, prompts)
    means = {name: _means(images.trait(name), family) for name in images.traits()}
    moments = Prompts(prompts, np.bincount(family), means)
    if LATENT not in means:
        return moments
    latent = images.trait(LATENT).astype(np.float64)
    if replicates is not None:
        latent = np.concatenate([latent, replicates.trait(LATENT)])
        family = np.concatenate([family, _families(replicates.captions, prompts)])
    centres = _means(latent, family)
    between = centres.var(axis=0, ddof=1) if len(prompts) > 1 else None
    freedom = len(family) - len(prompts)
    if not freedom:
        return replace(moments, between=between)
    rest = latent - centres[family]
    variances = _within_each(rest, family)
    rest /= np.sqrt(freedom)
    _, sizes, axes = np.linalg.svd(rest, full_matrices=False)
    factor = axes[:rank].T * sizes[:rank]
    diagonal = np.square(rest).sum(axis=0) - np.square(factor).sum(axis=1)
    return replace(
        moments,
        factor=factor,
        diagonal=np.maximum(diagonal, 0.0),
        freedom=freedom,
        between=between,
        variances=variances,
    )


def prompts_of_draw(generation: Generated, name: Name | None = None, rank: int = RANK) -> Prompts:
    """Return the moments of prompts of a generation's images, or of one of its draws.

    Replicates complete the images of the same scale, and unguided images carry what compares them
    with the guided ones (`Prompts.squares` and `Prompts.paired`).
    """
    if name is None:
        replicates = generation.replicates()
        # Those of generation 0 are images of the base model, not real ones.
        replicates = None if replicates is None or replicates.of_base else replicates
        return prompts_of(generation, generation.captions, rank, replicates)
    draw, twins = generation.draw(name), generation.draw("unguided_replicate")
    replicates = replicates_of([twins]) if name == "unguided" else None
    moments = prompts_of(draw, draw.captions, rank, replicates)
    if name != "unguided" or not generation.number or LATENT not in draw.traits():
        return moments
    pairs = [(generation.captions, generation, draw)]
    more = generation.draw("replicate")
    if twins.complete and more.complete:
        pairs.append((more.captions, more, twins))
    if any(list(texts) != unguided.captions for texts, _, unguided in pairs):
        return moments
    change = np.concatenate(
        [
            guided.trait(LATENT).astype(np.float64) - unguided.trait(LATENT)
            for _, guided, unguided in pairs
        ]
    )
    family = _families([text for texts, *_ in pairs for text in texts], moments.captions)
    centres = _means(change, family)
    counts = np.bincount(family)
    variances = _within_each(change - centres[family], family)
    if (counts > 1).any():
        pooled = float(np.nansum(variances * (counts - 1)) / (counts - 1).sum())
        variances = np.where(counts > 1, variances, pooled)
    return replace(moments, squares=np.square(centres).mean(axis=1), paired=variances)


def _families(captions: Sequence[str], prompts: Sequence[str]) -> Int[np.ndarray, " n"]:
    place = {caption: i for i, caption in enumerate(prompts)}
    return np.array([place[caption] for caption in captions])


def _means(
    values: Shaped[np.ndarray, "n k"], family: Int[np.ndarray, " n"]
) -> Float[np.ndarray, "C k"]:
    """Return the mean of each family [C, k]."""
    sums = np.zeros((family.max() + 1, values.shape[1]))
    np.add.at(sums, family, values.astype(np.float64))
    return sums / np.bincount(family)[:, None]


def _within_each(
    deviations: Float[np.ndarray, "n k"], family: Int[np.ndarray, " n"]
) -> Float[np.ndarray, " C"]:
    """Return the variance of each family, averaged over components; nan for one image."""
    counts = np.bincount(family)
    squares = np.bincount(family, np.square(deviations).mean(axis=1))
    return np.where(counts > 1, squares / np.maximum(counts - 1, 1), np.nan)


def _half(values: Float[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
    fits = np.abs(values).max(initial=0) < _GREATEST
    return np.asarray(values, np.float16 if fits else np.float32)


def _packed_means(
    name: str, means: Float[np.ndarray, "C k"], rest: Float[np.ndarray, " k"] | None
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Return prompt means in full, or where these are very many numbers, and more than that,
    along their leading principal axes."""
    C, k = means.shape
    if rest is None and (means.size <= _MOST or (C + k) * RANK + 2 * k >= means.size):
        return {f"mean.{name}": _half(means)}
    centre = means.mean(axis=0)
    _, _, axes = np.linalg.svd(means - centre, full_matrices=False)
    axes = axes[:RANK]
    scores = (means - centre) @ axes.T
    left = (means - centre - scores @ axes).var(axis=0, ddof=1) + (0.0 if rest is None else rest)
    return {
        f"centre.{name}": _half(centre),
        f"axes.{name}": _half(axes),
        f"scores.{name}": _half(scores),
        f"rest.{name}": _half(left),
    }


def _read(path: Path) -> Prompts:
    with np.load(path, allow_pickle=False) as stored:
        get = lambda name: stored[name].astype(np.float64) if name in stored.files else None
        those = lambda prefix: {
            name.removeprefix(prefix): stored[name].astype(np.float64)
            for name in stored.files
            if name.startswith(prefix)
        }
        means, counts = those("mean."), stored["counts"].astype(int)
        centres, axes, scores = those("centre."), those("axes."), those("scores.")
        means |= {name: centres[name] + scores[name] @ axes[name] for name in centres}
        factor, between = get("factor"), get("between")
        freedom = int(counts.sum()) - len(counts) if factor is not None else 0
        if between is None and LATENT in means and len(counts) > 1:
            between = means[LATENT].var(axis=0, ddof=1)
        return Prompts(
            tuple(stored["captions"].tolist()),
            counts,
            means,
            factor,
            get("diagonal"),
            those("rest."),
            int(stored["freedom"]) if "freedom" in stored.files else freedom,
            between,
            *(get(name) for name in ("variances", "squares", "paired")),
        )
