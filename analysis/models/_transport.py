"""Guided samplers on the noise levels that they visit: what becomes of families, V_W and V_B.

The guided score of N(m_c, V_c) and N(m_u, V_u) at noise variance t has the rate
R' = w/(V_c + t) + (1 - w)/(V_u + t). With w constant between levels, R is a closed form, and so are
the integrals of `qtm.selection.transport` to second order. Above the highest level w = 1.
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax import Array

Operator = Literal["tilt", "ddim", "ddpm"]


def transport(
    operator: Operator, w: Array, noise: Array, V_c: Array, V_u: Array
) -> tuple[Array, Array]:
    """Return A, the factor of deviations from m_u, and V_W after guided sampling.

    `w` [L] or [L, D] is the scale at the noise variances `noise` [L, D], falling; `V_c` and `V_u`
    [D]. A tilt knows no noise: the mean of w stands for all.
    """
    w = w if w.ndim == noise.ndim else w[:, None]
    if operator == "tilt":
        w = jnp.mean(w, axis=0)
        precision = w / V_c + (1 - w) / V_u
        return w / V_c / precision, 1 / precision
    t = jnp.concatenate([noise, jnp.zeros_like(noise[:1])])
    dy_c = -jnp.diff(jnp.log(V_c + t), axis=0)
    dy_u = -jnp.diff(jnp.log(V_u + t), axis=0)
    cell = w * dy_c + (1 - w) * dy_u
    # R from noise 0 up to each level, 0 at the last. As a product with a triangle of ones it
    # compiles and runs faster than as a cumulative sum.
    count = len(cell)
    R = jnp.asarray(np.triu(np.ones((count + 1, count)))) @ cell
    if operator == "ddim":
        fall = jnp.exp(-R / 2)
        A = fall[0] + jnp.sum(w * dy_c / 2 * fall[1:] * _decay(cell / 2), axis=0)
        return A, (V_c + t[0]) * jnp.exp(-R[0])
    fall = jnp.exp(-R)
    A = fall[0] + jnp.sum(w * dy_c * fall[1:] * _decay(cell), axis=0)
    start = jnp.square(fall[1:]) * (V_c + t[1:])
    V = jnp.square(fall[0]) * (V_c + t[0])
    return A, V + jnp.sum(dy_c * start * _decay(2 * cell - dy_c), axis=0)


def _decay(x: Array) -> Array:
    """(1 - e^(-x))/x, the mean of e^(-y) over y from 0 to x."""
    tiny = jnp.abs(x) < 1e-4
    safe = jnp.where(tiny, 1.0, x)
    return jnp.where(tiny, 1 - x / 2 + jnp.square(x) / 6, -jnp.expm1(-safe) / safe)
