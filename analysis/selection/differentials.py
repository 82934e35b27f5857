"""Selection differentials and gradients: guided against unguided images of the same seeds.

P is the covariance within prompts before selection (unguided images), P* after it (guided images).
Traits in feature units; standardised by the standard deviation within prompts before selection.
"""

import numpy as np
from jaxtyping import Float

from analysis.selection import intervals
from analysis.selection.draws import Draws, Sample
from analysis.selection.intervals import MANY, POPULATION, SQUARES, THESE, Estimate
from analysis.selection.variances import mean_square_variance

AXES = 8


def by_prompt(draws: Draws) -> Float[np.ndarray, "C k"]:
    """Return S_c, the mean of guided minus that of unguided images, of each prompt."""
    return draws.guided.means - draws.unguided.means


def _paired(draws: Draws) -> Sample:
    """Return guided minus unguided, image by image: what chance both share cancels."""
    z = draws.guided.values - draws.unguided.values
    return Sample(z, draws.unguided.prompts, draws.unguided.replicates)


def differential(draws: Draws) -> list[Estimate]:
    """Return S, the signed mean of S_c over prompts, and `S_rms`, its root mean square over prompts
    with the sampling part subtracted (the mean of |S_c| is biased upward).

    S_c = mean_i (guided_i - unguided_i), i a seed of prompt c; mean_c S_c +- t over images paired
    by seed (these prompts), or over prompts (population). S_rms^2 = mean_c (|S_c|^2 - s_c^2/n_c),
    s_c^2 the variance of paired differences. Several components are averaged. Both also over the
    standard deviation within prompts before selection (`_standardised`), with its error. `S_rms`
    has an interval for a population from `MANY` prompts on. Lande & Arnold (1983).
    """
    paired, unguided = _paired(draws), draws.unguided
    C, n = len(paired.codes), paired.sizes
    S_c, V, N = paired.means, unguided.within, unguided.freedom
    S, sd = float(S_c.mean()), V**0.5
    u = paired.values.mean(axis=1) / paired.over_images(n[:, None])[:, 0] / C
    U = S_c.mean(axis=1) / C
    estimates = _both("S", S, u, U, paired)
    if V > 0:
        squares = np.square(unguided.deviations).mean(axis=1)
        excess = squares - V * (1 - 1 / unguided.over_images(n[:, None])[:, 0])
        shrinking = S / (2 * V * sd) * excess / N
        u_sd = u / sd - shrinking
        U_sd = U / sd - unguided.by_prompt(shrinking[:, None])[:, 0]
        estimates += _both("S_standardised", S / sd, u_sd, U_sd, paired, squares=True)
    return estimates + _root_mean_square(draws, paired)


def _both(
    quantity: str,
    value: float,
    u: Float[np.ndarray, " n"],
    U: Float[np.ndarray, " C"],
    sample: Sample,
    squares: bool = False,
    component: int | None = None,
    pair: int | None = None,
) -> list[Estimate]:
    """Return an estimate for both targets, as far as its images allow."""
    estimates = []
    if sample.sizes.min() >= (SQUARES if squares else 2):
        ends = intervals.student(value, *intervals.over_images(u, sample))
        estimates.append(Estimate(quantity, value, *ends, THESE, component, pair))
    if len(U) > 1:
        ends = intervals.student(value, *intervals.over_prompts(U))
        estimates.append(Estimate(quantity, value, *ends, POPULATION, component, pair))
    return estimates or [Estimate(quantity, value, component=component, pair=pair)]


def _root_mean_square(draws: Draws, paired: Sample) -> list[Estimate]:
    if not paired.freedom:
        return []
    S_c, C, unguided = paired.means, len(paired.codes), draws.unguided
    squares = np.square(S_c).mean(axis=1) - paired.error_variance()
    square, V = float(squares.mean()), unguided.within
    variance = mean_square_variance(S_c, paired) / C**2
    few = paired.sizes.min() < SQUARES
    estimates = roots("S_rms", square, variance, squares / C)
    if V > 0:
        # The errors of V_W and of S_rms^2 are taken as independent, which they are not over two
        # images of a prompt.
        of_V = square**2 * unguided.within_variance() / V**4
        relative = np.nan if few else variance / V**2 + of_V
        excess = unguided.by_prompt(np.square(unguided.deviations).mean(axis=1, keepdims=True))
        excess = (excess[:, 0] - V * (unguided.sizes - 1)) / unguided.freedom
        U = squares / C / V - square / V**2 * excess
        estimates += roots("S_rms_standardised", square / V, relative, U)
    return estimates


def roots(
    quantity: str, square: float, variance: float, U: Float[np.ndarray, " C"]
) -> list[Estimate]:
    """Return the root of a mean square: for these prompts unless `variance` is nan, and for a
    population where `MANY` prompts show how squares scatter; or without an interval."""
    spreads = [(THESE, variance, np.inf)] if np.isfinite(variance) else []
    if len(U) >= MANY:
        spreads.append((POPULATION, *intervals.over_prompts(U)))
    estimates = []
    for target, spread, freedom in spreads:
        value, ends = intervals.root(square, intervals.student(square, spread, freedom))
        estimates.append(Estimate(quantity, value, *ends, target))
    return estimates or [Estimate(quantity, max(square, 0.0) ** 0.5)]


def gradients(draws: Draws) -> list[Estimate]:
    """Return beta = P^-1 S of each component, in 1/(feature units), and times the standard
    deviation of its component (`beta_standardised`).

    P^-1 has the bias nu/(nu - k - 1) of normal traits with nu degrees of freedom, which is taken
    out. Linearised, d beta = P^-1 (dS - dP beta), of images paired by seed and of prompts.
    At most `AXES` components, and nu > k + 1; else none. Lande & Arnold (1983), Lande (1979).
    """
    unguided, paired = draws.unguided, _paired(draws)
    N, k, C = unguided.freedom, unguided.values.shape[1], len(unguided.codes)
    P = unguided.covariance
    if k > AXES or k + 1 >= N or not _invertible(P):
        return []
    inverse = np.linalg.inv(P)
    S_c, n = paired.means, paired.over_images(paired.sizes[:, None])
    unbiased = (N - k - 1) / N
    beta, e = inverse @ S_c.mean(axis=0), unguided.deviations
    # Of each image: its contribution to P, less the one that P itself expects of it.
    dP = (e * (e @ beta)[:, None] - (1 - 1 / n) * (P @ beta)) / N
    u = unbiased * (paired.values / n / C - dP) @ inverse
    U = unguided.by_prompt(u)
    sd = np.sqrt(np.diag(P))
    d_sd = (np.square(e) - (1 - 1 / n) * np.diag(P)) / N / (2 * sd)
    beta = unbiased * beta
    u_sd = u * sd + beta * d_sd
    U_sd = unguided.by_prompt(u_sd)
    estimates = []
    for j in range(k):
        index = j if k > 1 else None
        estimates += _both("beta", float(beta[j]), u[:, j], U[:, j], paired, True, index)
        estimates += _both(
            "beta_standardised", float(beta[j] * sd[j]), u_sd[:, j], U_sd[:, j], paired, True, index
        )
    return estimates


def quadratic(draws: Draws) -> list[Estimate]:
    """Return gamma = P^-1 (P* - P + mean_c S_c S_c^T) P^-1, times the standard deviations of both
    components: curvature of log fitness within prompts, without units.

    The sampling part of S_c S_c^T is subtracted. An entry for each pair of components, as symmetric
    matrices have; diagonal entries below 0 narrow a component (stabilizing selection). Intervals as
    those of `gradients`. Lande & Arnold (1983), with the mean of S_c S_c^T in place of S S^T,
    because selection acts within prompts.
    """
    unguided, guided, paired = draws.unguided, draws.guided, _paired(draws)
    N, k, C = unguided.freedom, unguided.values.shape[1], len(unguided.codes)
    P = unguided.covariance
    if k > AXES or k + 1 >= N or not _invertible(P):
        return []
    sd = np.sqrt(np.diag(P))
    standard = lambda sample: Sample(sample.values / sd, sample.prompts, sample.replicates)
    unguided, guided, paired = standard(unguided), standard(guided), standard(paired)
    P, after, S_c = unguided.covariance, guided.covariance, paired.means
    inverse, n = np.linalg.inv(P), paired.over_images(paired.sizes[:, None])
    e, g, d = unguided.deviations, guided.deviations, paired.deviations
    outer = lambda x: x[:, :, None] * x[:, None, :]
    # Each prompt's square less its sampling part; a prompt with one image takes the pooled one.
    noise = np.where(n > 1, 1 / np.maximum(n - 1, 1), 0.0)[:, :, None] * outer(d)
    noise += np.where(n > 1, 0.0, 1.0)[:, :, None] * paired.covariance
    of_prompt = (outer(paired.over_images(S_c)) - noise) / (n * C)[:, :, None]
    square = of_prompt.sum(axis=0)
    gamma = inverse @ (after - P + square) @ inverse
    expected_fraction = (1 - 1 / n)[:, :, None]
    dP = (outer(e) - expected_fraction * P) / N
    dA = (outer(g) - expected_fraction * after) / N
    means = paired.over_images(S_c)
    # Over prompts the square itself varies, over images only the means of which it is one.
    cross = means[:, :, None] * d[:, None, :]
    of_mean = (cross + cross.transpose(0, 2, 1)) / (n * C)[:, :, None]
    turn = lambda M: np.einsum("ij,njk,kl->nil", inverse, M, inverse)
    half = np.einsum("nij,jk->nik", dP, gamma)
    sandwich = np.einsum("ij,njk->nik", inverse, half)
    of_P = sandwich + sandwich.transpose(0, 2, 1)
    width = np.einsum("nii->ni", dP) / 2
    of_sd = gamma * (width[:, :, None] + width[:, None, :])
    rest = turn(dA - dP) - of_P + of_sd
    u, whole_u = rest + turn(of_mean), rest + turn(of_prompt)
    estimates = []
    for i in range(k):
        for j in range(i, k):
            U = unguided.by_prompt(whole_u[:, i, j][:, None])[:, 0]
            pair = (i, j) if k > 1 else (None, None)
            estimates += _both("gamma", float(gamma[i, j]), u[:, i, j], U, paired, True, *pair)
    return estimates


def _invertible(P: Float[np.ndarray, "k k"]) -> bool:
    values = np.linalg.eigvalsh(P)
    return bool(values[0] > 1e-10 * values[-1])
