"""Statistics of prompts that theories need: prompt means, and the covariance within prompts.

Full runs compute it from the traits of single images; kept runs, which omit most of these, have it
in ``prompts.npz``, in half precision.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, Shaped

from empirical.errors import UserError
from empirical.runs.draws import Measured

FILE = "prompts.npz"
LATENT = "latent"
# Leading axes of the covariance within prompts that are kept, and the most numbers of one trait's
# prompt means: of more prompts, single images are kept of small traits only.
RANK, _MOST = 8, 2**14


@dataclass(frozen=True)
class Prompts:
    """Moments of the prompts of a set of images.

    `captions` are the C prompts and `counts` [C] their images; `means` maps a trait to its prompt
    means [C, k]. The covariance of latents within prompts, pooled, is F F^T + diag(d), with
    `factor` F [k, r] along its leading axes and `diagonal` d [k] so that variances are exact.
    """

    captions: tuple[str, ...]
    counts: Int[np.ndarray, " C"]
    means: Mapping[str, Float[np.ndarray, "C _"]]
    factor: Float[np.ndarray, "k r"] | None = None
    diagonal: Float[np.ndarray, " k"] | None = None

    @property
    def covariance(self) -> Float[np.ndarray, "k k"]:
        """The covariance of latents within prompts; `UserError` where it was not measured."""
        if self.factor is None or self.diagonal is None:
            raise UserError(f"the trait '{LATENT}' was not measured, so that it has no covariance")
        return self.factor @ self.factor.T + np.diag(self.diagonal)

    def packed(self) -> bytes:
        """Return the content of ``prompts.npz``, without means of very many numbers."""
        half = lambda x: np.asarray(x, np.float16)
        arrays: dict[str, Shaped[np.ndarray, "*shape"]] = {
            "captions": np.array(self.captions),
            "counts": np.asarray(self.counts, np.int32),
        }
        arrays |= {f"mean.{k}": half(v) for k, v in self.means.items() if v.size <= _MOST}
        if self.factor is not None and self.diagonal is not None:
            arrays |= {"factor": half(self.factor), "diagonal": half(self.diagonal)}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()


def prompts_of(images: Measured, captions: Sequence[str], rank: int = RANK) -> Prompts:
    """Return the moments of prompts of a generation or of a draw with these captions."""
    path = images.folder / FILE
    if path.is_file():
        return _read(path)
    prompts = tuple(dict.fromkeys(captions))
    place = {caption: i for i, caption in enumerate(prompts)}
    family = np.array([place[caption] for caption in captions])
    counts = np.bincount(family)
    means = {}
    for name in images.traits():
        values = images.trait(name).astype(np.float64)
        means[name] = np.zeros((len(prompts), values.shape[1]))
        np.add.at(means[name], family, values)
        means[name] /= counts[:, None]
    if LATENT not in means or len(family) <= len(prompts):
        return Prompts(prompts, counts, means)
    rest = images.trait(LATENT).astype(np.float64) - means[LATENT][family]
    rest /= np.sqrt(len(family) - len(prompts))
    _, sizes, axes = np.linalg.svd(rest, full_matrices=False)
    factor = axes[:rank].T * sizes[:rank]
    diagonal = np.square(rest).sum(axis=0) - np.square(factor).sum(axis=1)
    return Prompts(prompts, counts, means, factor, np.maximum(diagonal, 0.0))


def _read(path: Path) -> Prompts:
    with np.load(path, allow_pickle=False) as stored:
        get = lambda name: stored[name].astype(np.float64) if name in stored.files else None
        means = {n[5:]: stored[n].astype(np.float64) for n in stored.files if n.startswith("mean.")}
        return Prompts(
            tuple(stored["captions"].tolist()),
            stored["counts"].astype(int),
            means,
            get("factor"),
            get("diagonal"),
        )
