"""Guided sampling of prompts: the flow of means and covariances from noise to images.

At the noise level s prompt c is N(M_c, P_c + s^2), so all scores are known. The guided score is

    g_c(z) = s_u(z) + w (s_c(z) - s_u(z)),   s_c(z) = -(P_c + s^2)^-1 (z - M_c)

with the unconditional score of a mixture of Gaussians, whose component j has the posterior r_j(z):

    s_u(z) = sum_j r_j s_j,   grad s_u = sum_j r_j [s_j s_j^T - (U_j + s^2)^-1] - s_u s_u^T

A sampler takes z from the level s to the next one, s', by one step along the score at s:

    DDIM  z' = z + s (s - s') g                    (probability-flow ODE, Euler in s)
    DDPM  z' = z + (s^2 - s'^2) g + s' sqrt(1 - s'^2/s^2) e   (ancestral, e ~ N(0, 1))

The flow follows the mean of each prompt along these steps, and the covariance by the gradient of
the score there. It is exact where the unconditional is one Gaussian, for any covariances and any
schedule; for a mixture it is of first order in the spread of a prompt's images about their mean.
"""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike

from qtm._core.matrices import inverse
from qtm._core.numerics import real
from qtm.mixture.levels import NoiseLevels
from qtm.states.prompts import Prompts, covariance_of_each

# Each doubles the digits, once the size is right; eight bring a number within 1e4 of 1 there.
_ROOT_STEPS = 14

Operator = Literal["ddim", "ddpm"]


@eqx.filter_jit
def guided(
    conditional: Prompts,
    unconditional: Prompts,
    scales: ArrayLike,
    levels: NoiseLevels,
    operator: Operator = "ddim",
) -> Prompts:
    """Return the prompts that guided sampling draws from a model's two branches.

    `conditional` are the prompts as the model draws them at scale 1, `unconditional` the components
    of the other branch, whose number may differ; `scales` w `[L]`, or a number, act from each of
    the L + 1 `levels` to the next.

    What sampling in few steps distorts even at scale 1 is taken out: with the means m(w) and
    covariances S(w) at the end,

        M_c' = M_c + m_c(w) - m_c(1),   P_c' = T S_c(w) T,   T = [P_c S_c(1)^-1]^(1/2)

    so that w = 1 leaves the conditional as it is. (S(1) is a function of P, and commutes with it.)
    """
    s = real(levels.levels)
    w = jnp.broadcast_to(real(scales), (len(s) - 1,))
    P = covariance_of_each(conditional)
    noise = jnp.square(s[:-1])
    precisions, _ = jax.vmap(lambda t: _precisions(conditional, t))(noise)
    other = jax.vmap(lambda t: _precisions(unconditional, t))(noise)
    run = lambda scale: _flow(
        conditional.means, precisions, unconditional, other, scale, levels, operator
    )
    (m, S), (m_1, S_1) = run(w), run(jnp.ones_like(w))
    T = _root(_symmetric(P @ inverse(S_1)[0]))
    return Prompts(conditional.means + m - m_1, _symmetric(T @ S @ T), conditional.weights)


def _symmetric(matrix: Array) -> Array:
    return (matrix + matrix.swapaxes(-1, -2)) / 2


def _root(matrix: Array) -> Array:
    """Return the square root of positive matrices, by the iteration of Denman and Beavers.

    Unlike a root by eigenvalues, it has derivatives where eigenvalues coincide.
    """

    def refine(_, roots):
        Y, Z = roots
        return (Y + inverse(Z)[0]) / 2, (Z + inverse(Y)[0]) / 2

    Z = jnp.broadcast_to(jnp.eye(matrix.shape[-1]), matrix.shape)
    return _symmetric(lax.fori_loop(0, _ROOT_STEPS, refine, (matrix, Z))[0])


def _precisions(prompts: Prompts, t: Array) -> tuple[Array, Array]:
    """Return precisions [C, K, K] and ln |P_c + t| [C] of prompts at the noise variance t."""
    V = covariance_of_each(prompts) + t * jnp.eye(prompts.means.shape[1])
    return inverse(V)


def _flow(
    means: Array,
    precisions: Array,
    unconditional: Prompts,
    other: tuple[Array, Array],
    scales: Array,
    levels: NoiseLevels,
    operator: Operator,
) -> tuple[Array, Array]:
    """Return means [C, K] and covariances [C, K, K] at the last level."""
    C, K = means.shape
    eye, s = jnp.eye(K), levels.levels
    log_p = jnp.log(unconditional.weights)

    def step(state, level):
        z, S = state
        A_c, (A_u, log_volume), w, here, after = level
        s_c = -jnp.einsum("cij,cj->ci", A_c, z - means)
        d = z[:, None] - unconditional.means
        s_j = -jnp.einsum("jab,cjb->cja", A_u, d)
        log_r = log_p + (jnp.einsum("cja,cja->cj", s_j, d) - log_volume) / 2
        r = jax.nn.softmax(log_r, axis=1)
        s_u = jnp.einsum("cj,cja->ca", r, s_j)
        H = jnp.einsum("cj,cja,cjb->cab", r, s_j, s_j) - s_u[:, :, None] * s_u[:, None]
        H = H - jnp.einsum("cj,jab->cab", r, A_u)
        if operator == "ddim":
            length, fresh = here * (here - after), 0.0
        else:
            length = here**2 - after**2
            fresh = after**2 * (1 - after**2 / here**2)
        J = eye + length * ((1 - w) * H - w * A_c)
        z = z + length * (s_u + w * (s_c - s_u))
        return (z, J @ S @ J.swapaxes(1, 2) + fresh * eye), None

    start = jnp.square(levels.start) * jnp.broadcast_to(eye, (C, K, K))
    (z, S), _ = lax.scan(
        step, (jnp.zeros_like(means), start), (precisions, other, scales, s[:-1], s[1:])
    )
    return levels.signal * z, jnp.square(levels.signal) * S
