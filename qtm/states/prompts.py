"""Prompts: a mean vector for each, and the covariance of the images of each."""

from typing import Any, NoReturn

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import (
    real,
    require_double,
    require_finite,
    require_nonnegative,
    require_positive,
)
from qtm.states._evolving import Evolving
from qtm.states.families import Families
from qtm.states.joint import least_eigenvalue


class Prompts(Evolving):
    """C prompts in K traits: images of prompt c are N(M_c, P_c).

    `means` M `[C, K]` are in feature units; `within` P (feature units squared) is a covariance
    `[C, K, K]` of the images of each prompt, or `[K, K]` of those of any; `weights` p `[C]` are the
    fractions of images that show each prompt, equal unless given, and are normalised to 1. Where
    `Families` keep two variances of one trait, prompts keep which one is where: a trait that is
    linear in the K has its mean, V_W and V_B from them (`trait`), and so has every other trait of
    images that are drawn from them. `PromptCycle` is their life cycle.

    Raises ValueError if shapes do not fit, a number is not finite, a weight is negative or all are
    0, or a covariance is not symmetric or has a negative eigenvalue.
    """

    means: Float[Array, "C K"]
    within: Float[Array, "*prompts K K"]
    weights: Float[Array, " C"]

    def __init__(self, means: ArrayLike, within: ArrayLike, weights: ArrayLike | None = None):
        M, P = real(means), real(within)
        if M.ndim != 2 or P.shape not in ((M.shape[1],) * 2, (*M.shape, M.shape[1])):
            raise ValueError(
                "means and within must have shapes [C, K] and [C, K, K] or [K, K], got "
                f"{M.shape} and {P.shape}."
            )
        p = jnp.ones(len(M)) if weights is None else real(weights)
        if p.shape != M.shape[:1]:
            raise ValueError(
                f"weights must have shape [{len(M)}] for means {M.shape}, got {p.shape}."
            )
        require_finite("means", M)
        require_finite("within", P)
        require_nonnegative("weights", p)
        require_positive("the sum of weights", p.sum())
        least = least_eigenvalue("within", P)
        if least is not None and least < -1e-9 * max(1.0, float(jnp.max(jnp.abs(P)))):
            raise ValueError(f"within must have no negative eigenvalue, got {least:g}.")
        self.means, self.within, self.weights = M, P, p / p.sum()

    @property
    def mean(self) -> Float[Array, " K"]:
        """The mean of all images."""
        return real(self.weights) @ self.means

    @property
    def pooled(self) -> Float[Array, "K K"]:
        """P, the covariance of images within prompts, averaged over prompts."""
        P = real(self.within)
        return P if P.ndim == 2 else jnp.einsum("c,cij->ij", self.weights, P)

    @property
    def between(self) -> Float[Array, "K K"]:
        """B, the covariance of prompt means: sum_c p_c d_c d_c^T / (1 - sum_c p_c^2).

        d are deviations from the mean. With equal weights the divisor is C - 1; 0 for one prompt.
        """
        d = real(self.means) - self.mean
        rest = 1 - jnp.sum(jnp.square(self.weights))
        several = rest > 1e-12
        scatter = jnp.einsum("c,ci,cj->ij", self.weights, d, d)
        return jnp.where(several, scatter / jnp.where(several, rest, 1.0), 0.0)

    @property
    def variance(self) -> Float[Array, " K"]:
        """The variance of each trait among all images, V_W + V_B."""
        return jnp.diagonal(self.pooled + self.between)

    @property
    def parts(self) -> tuple[Float[Array, " K"], Float[Array, " K"]]:
        """V_W and V_B of each trait."""
        return jnp.diagonal(self.pooled), jnp.diagonal(self.between)

    def trait(self, weights: ArrayLike) -> Families:
        """Return the families of linear traits z = a^T x, exactly.

        `weights` a has the shape `[K]`, or `[D, K]` for D traits: the mean is a^T m, V_W is
        a^T P a and V_B is a^T B a, each of shape `[]` or `[D]`.
        """
        a = real(weights)
        quadratic = lambda V: jnp.einsum("...i,ij,...j->...", a, V, a)
        return Families(
            a @ self.mean, jnp.maximum(quadratic(self.pooled), 0.0), quadratic(self.between)
        )

    def after(self, part: Any, *draws: Any) -> NoReturn:
        raise ValueError(f"{type(part).__name__} has no form for Prompts.")

    def draws(self, key: PRNGKeyArray | None, size: int | None) -> NoReturn:
        raise ValueError("the life cycle of Prompts is PromptCycle, got LifeCycle.")


def covariance_of_each(prompts: Prompts) -> Float[Array, "C K K"]:
    """Return the covariances `[C, K, K]`, repeated where prompts have one in common."""
    require_double()
    C, K = prompts.means.shape
    return jnp.broadcast_to(prompts.within, (C, K, K))
