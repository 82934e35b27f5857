"""Sampling errors of the moments of an arm: of its mean, ln V_W and ln V_B."""

import numpy as np
from jaxtyping import Float, Int

from analysis.arms.record import Record

# Images a prompt from which on the squares within prompts show their own scatter, and prompts from
# which on the variances of prompts do.
_IMAGES, _PROMPTS = 8, 8


def spread_of(
    run: Record,
    trait: str,
    captions: list[str],
    components: Int[np.ndarray, " D"],
    pooled: bool,
    G: int,
    separated: bool,
) -> Float[np.ndarray, "T d"] | None:
    """Return Var(q)/E(q)^2 within prompts, [G + 1, 1 or D], of the squared deviations q of images.

    q = (z - z_c)^2, summed over components for an average, so that correlations and tails are
    included. A normal trait has 2. None where the trait of each image was not kept, or where there
    are too few images and prompts to tell.

    The deviations of few images of one prompt determine each other: those of two are equal but for
    their sign. With fewer than `_IMAGES` a prompt the sums over prompts, s_c, scatter instead:
    sum_c [s_c - V_W (n_c - 1)]^2/[(N - C) V_W^2]. This includes how prompts differ in V_W.
    """
    name = "latent_pc" if trait == "latent" and pooled else trait
    ratios = []
    for t in range(G + 1):
        generation = run.generation(t)
        if name not in generation.traits() or list(generation.captions) != captions:
            return None
        prompts, z = captions, generation.trait(name)
        if separated:
            more = generation.replicates()
            if more is None:
                return None
            prompts, z = [*more.captions], more.trait(name)
            if t:
                prompts, z = [*captions, *prompts], np.concatenate([generation.trait(name), z])
        z = z.astype(float).reshape(len(prompts), -1)
        z = z if name != trait else z[:, components]
        families = np.unique(prompts, return_inverse=True)[1]
        q = np.square(_within(z, families))
        q = q.sum(axis=1, keepdims=True) if pooled else q
        sizes = np.bincount(families)
        freedom = len(prompts) - len(sizes)
        if len(prompts) >= _IMAGES * len(sizes):
            variance = np.square(_within(q, families)).sum(axis=0) / freedom
            ratios.append(variance / np.maximum(np.square(q.mean(axis=0)), 1e-300))
        elif (sizes > 1).sum() >= _PROMPTS:
            sums = np.zeros((len(sizes), q.shape[1]))
            np.add.at(sums, families, q)
            V_W = q.sum(axis=0) / freedom
            squares = np.square(sums - V_W * (sizes - 1)[:, None]).sum(axis=0)
            ratios.append(squares / freedom / np.maximum(np.square(V_W), 1e-300))
        else:
            return None
    return np.stack(ratios)


def least_of(
    V_W: Float[np.ndarray, "T d"], images: int, families: int, pooled: bool, draws: int
) -> Float[np.ndarray, "T D"]:
    """Return the least V_B that replicates can show, over V_W: the standard error that V_B has
    where prompts do not differ, sqrt(2/[n (n - 1) (C - 1)]), n = draws N/C.

    An estimate of V_B has no sampling part, and may be 0 or below; its logarithm is then that of
    this limit. `V_W` are of uncorrelated components, over which an average is less uncertain.
    """
    n = draws * images / families
    error = np.sqrt(2 / (n * (n - 1) * max(families - 1, 1)))
    if not pooled:
        return np.full_like(V_W, error)
    sums = V_W.sum(axis=1, keepdims=True)
    return error * np.sqrt(np.square(V_W).sum(axis=1, keepdims=True)) / np.maximum(sums, 1e-300)


def _within(
    x: Float[np.ndarray, "N d"], families: Int[np.ndarray, " N"]
) -> Float[np.ndarray, "N d"]:
    """Return the deviations from the means of families."""
    sums = np.zeros((families.max() + 1, x.shape[1]))
    np.add.at(sums, families, x)
    return x - (sums / np.bincount(families)[:, None])[families]


def sampling_variances(
    V_W: Float[np.ndarray, "T d"],
    V_B: Float[np.ndarray, "T d"],
    images: int,
    families: int,
    pooled: bool,
    spread: Float[np.ndarray, "T D"] | None,
    draws: int = 1,
) -> Float[np.ndarray, "T 3 D"]:
    """Return the variances [G + 1, 3, D] of the sampling errors of the mean, ln V_W and ln V_B.

    Var(m) = V_W/N;  Var(ln V_W) = Var(q)/[E(q)^2 (N - C)] with q the squared deviation of an image
    from its prompt's mean, which is 2/(N - C) for a normal trait;  and, because prompts are the
    same in every generation and only their means are drawn anew,
    Var(ln V_B) = 4 V_W/[n (C - 1) V_B] with n = N/C. For an average over components the numerators
    and denominators are sums. Where `draws` of all images together separate V_W from V_B,
    n = draws N/C and Var(ln V_B) = [4 V_W V_B/n + 2 V_W^2/(n (n - 1))]/[(C - 1) V_B^2], at most 1:
    that of a V_B at its limit (see `least_of`).
    """
    n = draws * images / families
    if draws > 1:
        V_B = np.maximum(V_B, 0.0)
    unit = V_W[0] + V_B[0]
    if pooled:
        sums = lambda x: x.sum(axis=1, keepdims=True)
        count = V_W.shape[1]
        mean = sums(V_W) / (images * sums(unit[None]) * count)
        normal = 2 * sums(np.square(V_W)) / np.square(sums(V_W))
        B = np.maximum(sums(V_B), 1e-12)
        between = 4 * sums(V_W * V_B) / (n * (families - 1) * np.square(B))
        rest = 2 * sums(np.square(V_W)) / (n * (n - 1) * (families - 1) * np.square(B))
    else:
        mean = V_W / (images * unit)
        normal = np.full_like(V_W, 2.0)
        B = np.maximum(V_B, 1e-12)
        between = 4 * V_W / (n * (families - 1) * B)
        rest = 2 * np.square(V_W / B) / (n * (n - 1) * (families - 1))
    freedom = draws * images - families
    within = (normal if spread is None else np.maximum(spread, 1e-6)) / freedom
    # Where a variance is mostly sampling error, the expansion fails.
    if draws > 1:
        return np.stack([mean, within, np.minimum(between + rest, 1.0)], axis=1)
    return np.stack([mean, within, np.minimum(between, 2 / (families - 1))], axis=1)
