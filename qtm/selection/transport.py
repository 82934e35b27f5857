"""How guided samplers transport one Gaussian, closed forms and integrals over the noise.

The guided score of N(m_c, V_c) and N(m_u, V_u) at noise variance t is linear in z, so a
sampler maps pure noise to a Gaussian, with

    mean m_u + A (m_c - m_u)   and variance V.

With the rate R' = w/(V_c + t) + (1 - w)/(V_u + t), R(0) = 0:

    DDIM (probability-flow ODE)  A = int_0^inf e^(-R/2) w/(2 (V_c + t)) dt,  V = t e^(-R) at t = inf
    DDPM (reverse SDE)           A = int_0^inf e^(-R) w/(V_c + t) dt,  V = int_0^inf e^(-2R) dt

Here w is constant. `qtm.selection.schedule` takes the integrals for a w that is a function of the
noise, `qtm.selection.levels` for one that is constant between the noise levels of a sampler.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import real

# Gauss-Legendre on (0, 1), then squared towards 1, where the integrand of a large w has its peak.
# 64 nodes give 10 digits up to w = 300, and 7 at w = 1000, for V_c/V_u from 1e-9 to 1.
_roots, _weights = np.polynomial.legendre.leggauss(64)
_U = 1 - ((1 - _roots) / 2) ** 2
_DU = _weights * (1 - _roots) / 2


@jax.jit
def ddim_response(
    scale: ArrayLike, conditional: ArrayLike, unconditional: ArrayLike
) -> Float[Array, "..."]:
    """Compute A(w), by which DDIM guidance multiplies the distance m_c - m_u of the means.

    A(w) = int_0^inf I(t) w/(2 (V_c + t)) dt,   I(t)^2 = (V_c/(V_c + t))^w (V_u/(V_u + t))^(1-w)

    `conditional` and `unconditional` are the variances V_c >= 0 and V_u > 0. Arguments broadcast.
    A(0) = 0, A(1) = 1, and A(w) = w when the variances are equal. The part of m_u in the
    mean is 1 - A: both parts together integrate -I', from I(0) = 1 to I(inf) = 0.

    With t = s (1/q^2 - 1) all powers of q cancel: writing D = V q^2 + s (1 - q^2), the integrand
    becomes w s/D_c sqrt[(V_c/D_c)^w (V_u/D_u)^(1-w)] dq, smooth on (0, 1).
    """
    w, V_c, V_u = (real(x)[..., None] for x in (scale, conditional, unconditional))
    spread = V_c > 0
    V_c = jnp.where(spread, V_c, V_u)

    # The integral does not depend on the choice of s and of the stretch, so they are constants to
    # a derivative. q = sinh(K u)/sinh(K) resolves variances that differ by orders of magnitude:
    # with s the smaller and K = arccosh(sqrt(ratio)), the larger D is s cosh(K u)^2.
    s = lax.stop_gradient(jnp.minimum(V_c, V_u))
    ratio = lax.stop_gradient(jnp.maximum(V_c, V_u)) / s
    K = jnp.maximum(jnp.arccosh(jnp.sqrt(jnp.maximum(ratio, 1.0))), 1e-3)
    q, dq = jnp.sinh(K * _U) / jnp.sinh(K), K * jnp.cosh(K * _U) / jnp.sinh(K) * _DU

    D_c = V_c * q**2 + s * (1 - q**2)
    D_u = V_u * q**2 + s * (1 - q**2)
    log_I = 0.5 * (w * jnp.log(V_c / D_c) + (1 - w) * jnp.log(V_u / D_u))
    A = jnp.sum(w * s / D_c * jnp.exp(log_I) * dq, axis=-1)
    return jnp.where(spread[..., 0], A, 1.0)


def ddim_variance(
    scale: ArrayLike, conditional: ArrayLike, unconditional: ArrayLike
) -> Float[Array, "..."]:
    """Compute V = V_c^w V_u^(1-w) under DDIM; 0 for V_c = 0, the limit for w > 0."""
    w, V_c, V_u = real(scale), real(conditional), real(unconditional)
    log_V = w * jnp.log(jnp.where(V_c > 0, V_c, 1.0)) + (1 - w) * jnp.log(V_u)
    return jnp.where(V_c > 0, jnp.exp(log_V), 0.0)


def ddpm_response(
    scale: ArrayLike, conditional: ArrayLike, unconditional: ArrayLike
) -> Float[Array, "..."]:
    """Compute A(w) = (1 - r^w)/(1 - r) under DDPM, r = V_c/V_u; w at r = 1, 1 for V_c = 0.

    With x = (V_u + t)/(V_c + t) the integrand above becomes w x^(w-1) dx, up to a constant.
    """
    w, log_r, spread = _log_ratio(scale, conditional, unconditional)
    A = w * jnp.exp(_log_expm1_ratio(w * log_r) - _log_expm1_ratio(log_r))
    return jnp.where(spread, A, 1.0)


def ddpm_variance(
    scale: ArrayLike, conditional: ArrayLike, unconditional: ArrayLike
) -> Float[Array, "..."]:
    """Compute the variance V under DDPM, with r = V_c/V_u.

    V = V_c^(2w) V_u^(2-2w) (r^(1-2w) - 1)/[(V_u - V_c)(2w - 1)]

    Written as V_u r^(2w) q((1 - 2w) ln r)/q(ln r) with q(x) = (e^x - 1)/x, which has no special
    case at r = 1 or w = 1/2 and no overflow. 0 for V_c = 0, the limit for w > 0.
    """
    w, log_r, spread = _log_ratio(scale, conditional, unconditional)
    log_V = 2 * w * log_r + _log_expm1_ratio((1 - 2 * w) * log_r) - _log_expm1_ratio(log_r)
    return jnp.where(spread, real(unconditional) * jnp.exp(log_V), 0.0)


def _log_ratio(scale: ArrayLike, V_c: ArrayLike, V_u: ArrayLike) -> tuple[Array, Array, Array]:
    spread = real(V_c) > 0
    return real(scale), jnp.log(jnp.where(spread, real(V_c), 1.0) / real(V_u)), spread


def _log_expm1_ratio(x: Array) -> Array:
    """Compute ln[(e^x - 1)/x] for any x."""
    size = jnp.abs(x)
    tiny = size < 1e-3
    safe = jnp.where(tiny, 1.0, size)
    # (e^x - 1)/x = e^(x/2) sinh(x/2)/(x/2), and the second factor is even
    even = jnp.where(
        tiny,
        jnp.square(x) / 24 - jnp.square(jnp.square(x)) / 2880,
        safe / 2 + jnp.log(-jnp.expm1(-safe) / safe),
    )
    return x / 2 + even
