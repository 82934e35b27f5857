"""Classifier-free guidance as selection."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._numerics import parameter, real, require, require_finite, require_positive, safe_sqrt
from qtm.selection._base import Selection, draw_parents
from qtm.states import Individuals, Moments, State

_OPERATORS = ("tilt", "ddim")


class Guidance(Selection):
    """Guided sampling with scale w, conditional N(m_c, V_c), unconditional N(m_u, V_u).

    The population is the conditional; the guided score is w s_c + (1 - w) s_u. What comes out
    depends on the sampler, and guided samplers do not sample the tilted density:

    - "tilt", the density p_c^w p_u^(1-w). With the precision L = w/V_c + (1 - w)/V_u > 0,
      m* = [w m_c/V_c + (1 - w) m_u/V_u]/L,   V* = 1/L.
      Individuals are reweighted, with the Gaussian of the population's moments as p_c.
    - "ddim", the probability-flow ODE with exact scores:
      m* = m_u + A(w) (m_c - m_u),   V* = V_c^w V_u^(1-w),
      A from `ddim_response`. Individuals are drawn evenly and carried by the affine map with these
      moments: a sampler moves images, it does not choose among them.

    `scale` broadcasts against the traits; it and `unconditional` (a `Moments`, feature units) may
    be functions of the generation. A population without variance stays where it is (the limit
    V_c -> 0 for w > 0).

    Raises ValueError if the scale is not finite, an unconditional variance not greater than 0, the
    operator unknown, or the precision of a tilt not greater than 0. The last depends on the
    population: inside `jit` it gives nan.

    Source: Ho & Salimans, arXiv 2207.12598; Bradley & Nakkiran, arXiv 2408.09000.
    """

    scale: Float[Array, "..."] = eqx.field(converter=parameter)
    unconditional: Moments
    operator: Literal["tilt", "ddim"] = eqx.field(default="ddim", static=True)

    def __check_init__(self):
        require_finite("scale", self.scale)
        if not callable(self.unconditional):
            require_positive("unconditional variance", self.unconditional.variance)
        if self.operator not in _OPERATORS:
            raise ValueError(
                f"operator must be one of {', '.join(_OPERATORS)}, got {self.operator!r}."
            )

    def moments(self, state: Moments) -> Moments:
        guided = _tilt if self.operator == "tilt" else _ddim
        return guided(self.scale, state, self.unconditional)

    def individuals(self, state: Individuals, key: PRNGKeyArray, size: int) -> Individuals:
        before = Moments(state.mean, state.variance)
        after = self.moments(before)
        if self.operator == "tilt":
            return draw_parents(state, self.log_fitness(state.values, state), key, size)
        chosen = draw_parents(state, jnp.zeros_like(state.values), key, size).values
        stretch = safe_sqrt(after.variance / jnp.where(before.variance > 0, before.variance, 1.0))
        return Individuals(after.mean + stretch * (chosen - before.mean))

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        """(w - 1) [ln p_c(z) - ln p_u(z)] up to a constant: the tilt, as selection on p_c.

        Raises ValueError for "ddim", which moves individuals and gives none a fitness.
        """
        if self.operator != "tilt":
            raise ValueError(f"operator must be tilt to have a fitness, got {self.operator!r}.")
        x_c = Moments(population.mean, population.variance).standardize(z)
        x_u = self.unconditional.standardize(z)
        return (self.scale - 1) * (jnp.square(x_u) - jnp.square(x_c)) / 2


def _tilt(w: Array, conditional: Moments, unconditional: Moments) -> Moments:
    m_c, V_c, m_u, V_u = _unpack(conditional, unconditional)
    rest = (1 - w) * V_c / V_u
    L = w + rest  # the precision in units of 1/V_c: no division by a variance that may be 0
    require("tilt precision w + (1 - w) V_c/V_u", L, "greater than 0", lambda x: x > 0)
    L = jnp.where(L > 0, L, jnp.nan)
    return Moments((w * m_c + rest * m_u) / L, V_c / L)


def _ddim(w: Array, conditional: Moments, unconditional: Moments) -> Moments:
    m_c, V_c, m_u, V_u = _unpack(conditional, unconditional)
    spread = V_c > 0
    log_V_c = jnp.log(jnp.where(spread, V_c, 1.0))
    V = jnp.where(spread, jnp.exp(w * log_V_c + (1 - w) * jnp.log(V_u)), 0.0)
    return Moments(m_u + ddim_response(w, V_c, V_u) * (m_c - m_u), V)


def _unpack(conditional: Moments, unconditional: Moments) -> tuple[Array, Array, Array, Array]:
    return conditional.mean, conditional.variance, unconditional.mean, unconditional.variance


# Gauss-Legendre on (0, 1), then squared towards 1, where the integrand of a large w has its peak.
# 64 nodes give 10 digits up to w = 300, and 7 at w = 1000, for V_c/V_u from 1e-9 to 1.
_roots, _weights = np.polynomial.legendre.leggauss(64)
_U = 1 - ((1 - _roots) / 2) ** 2
_DU = _weights * (1 - _roots) / 2


@jax.jit
def ddim_response(
    scale: ArrayLike, conditional: ArrayLike, unconditional: ArrayLike
) -> Float[Array, "..."]:
    """A(w), the factor by which DDIM guidance multiplies the distance m_c - m_u of the means.

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
