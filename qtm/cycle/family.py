"""Prompt families under guidance: dynamics between and within prompts.

A family is the images of one prompt. Its variance V_W is the conditional variance of guidance; the
unconditional distribution holds all families, so its variance is V_U = V_W + V_B. One generation of
guided sampling then gives under DDIM

    V_W' = V_W^w V_U^(1-w),   V_B' = A(w)^2 V_B.

`FamilyCycle` puts inheritance before it and mutation after it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import (
    real,
    require_finite,
    require_fraction,
    require_nonnegative,
    require_positive,
)
from qtm.cycle.family_cycle import FamilyCycle
from qtm.selection.transport import ddim_response

__all__ = ["FamilyCycle", "neutral_scale", "response"]

_LARGEST_SCALE = 1000.0
_HALVINGS = 40


def response(scale: ArrayLike, within: ArrayLike, between: ArrayLike) -> Float[Array, "..."]:
    """Compute A(w), by which guidance multiplies the deviation of a family from the mean.

    With r = V_W/(V_W + V_B),   A(w) = w int_0^1 [r + (1 - r) q^2]^((w-1)/2) dq

    A(1) = 1, and A = w where families do not differ (V_B = 0). Otherwise A rises to a peak and
    falls towards (V_W + V_B)/V_B from above: beyond the peak more guidance pushes families less far
    apart.

    `scale` is w (dimensionless); `within` and `between` are V_W and V_B (feature units squared).
    Arguments broadcast. Accurate up to w = 1000.

    Raises ValueError if the scale is not finite, a variance negative, or both variances 0.

    Source: the probability-flow ODE with the exact scores of two Gaussians.
    """
    V_W, V_B = _variances(within, between)
    require_finite("scale", scale)
    return ddim_response(scale, V_W, V_W + V_B)


def neutral_scale(
    heritability: ArrayLike, within: ArrayLike, between: ArrayLike
) -> Float[Array, "..."]:
    """Find the guidance scale w* that keeps the distance of families, h A(w*) = 1.

    Above it the variance between families grows, below it families dissolve into each other.
    Because A has a peak, w* exists only for h > 1/max A: no scale holds a family that takes up
    less of its training set, and w* = inf. Of two roots it is the smaller.
    Scales above 1000 are not searched.

    `heritability` is the fraction h of a family's deviation that finetuning takes up; `within` and
    `between` as in `response`. Arguments broadcast. Differentiable once in all three, by the
    implicit function theorem; the derivative of an infinite w* is 0.

    Raises ValueError if the heritability is not in [0, 1], a variance negative, or both 0.
    """
    h = real(heritability)
    require_fraction("heritability", h)
    V_W, V_B = _variances(within, between)
    return _neutral_scale(*jnp.broadcast_arrays(h, V_W, V_B))


@jax.jit
def _neutral_scale(h: Array, V_W: Array, V_B: Array) -> Array:
    fixed = lax.stop_gradient((V_W, V_B))
    low, high = jnp.ones_like(h), jnp.full_like(h, _LARGEST_SCALE)
    peak = _bisect(lambda w: _slope(w, *fixed) < 0, low, high)

    exists = h * _response(peak, *fixed) > 1
    # Where there is no root, an equation with the root 1 stands in to keep everything finite.
    h, V_W, V_B = (
        jnp.where(exists, x, stand_in) for x, stand_in in ((h, 1.0), (V_W, 1.0), (V_B, 0.0))
    )
    fixed = lax.stop_gradient((V_W, V_B))
    w = _bisect(lambda w: lax.stop_gradient(h) * _response(w, *fixed) > 1, low, peak)

    # One Newton step with the slope held constant polishes the root and carries its derivative.
    slope = lax.stop_gradient(h * _slope(w, V_W, V_B))
    w = w - (h * _response(w, V_W, V_B) - 1) / slope
    return jnp.where(exists, w, jnp.inf)


def _response(w: Array, V_W: Array, V_B: Array) -> Array:
    return ddim_response(w, V_W, V_W + V_B)


def _slope(w: Array, V_W: Array, V_B: Array) -> Array:
    """Compute dA/dw."""
    return jax.jvp(lambda w: _response(w, V_W, V_B), (w,), (jnp.ones_like(w),))[1]


def _bisect(beyond: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Find the scale in `low` to `high` from which on `beyond` is true; `high` if it never is."""

    def halve(_: int, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = jnp.sqrt(low * high)  # scales span three orders of magnitude
        too_far = beyond(middle)
        return jnp.where(too_far, low, middle), jnp.where(too_far, middle, high)

    return lax.fori_loop(0, _HALVINGS, halve, (low, high))[1]


def _variances(within: ArrayLike, between: ArrayLike) -> tuple[Array, Array]:
    V_W, V_B = real(within), real(between)
    require_nonnegative("within", V_W)
    require_nonnegative("between", V_B)
    require_positive("within + between", V_W + V_B)
    return V_W, V_B
