"""Guidance scales at the noise levels that a sampler visits."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import (
    concrete,
    optional_parameter,
    parameter,
    real,
    require,
    require_finite,
    require_nonnegative,
    require_positive,
)

_LARGEST_EXPONENT = 50.0


class AtLevels(eqx.Module):
    """A guidance scale at each of L noise levels, constant from one level to the next.

    The sampler visits noise of the variances `noise` [L, ...] (feature units squared), falling, and
    is guided by `scale` [L, ...] from each level down to the next, from the last one to 0. Above
    the first level w = 1. Missing trailing axes of either are those of the traits. With
    w constant between levels, the rate R' of `qtm.selection.transport` has the closed form

        R(t_i) - R(t_i+1) = w ln[(V_c + t_i)/(V_c + t_i+1)] + (1 - w) ln[(V_u + t_i)/(V_u + t_i+1)]

    and V under DDIM is exact. A, and V under DDPM, take ln(V_c + t) as linear in R between levels,
    which is of second order in their distance. `ByNoise` is the schedule of a continuous sampler.

    Two laws multiply w - 1 at a level of variance t by a fraction:

    - `late` t_l, guidance that takes hold at low noise: 1/(1 + t/t_l).
    - `separation` s and `prompts` C, guidance that ends where an image shows its prompt, because
      there the scores of both branches agree: C/(C - 1 + e^D) with the distance
      D(t) = s mean_j V_B,j/(V_W,j + t_j), a mean over the last axis, the traits that distinguish
      families. It needs families: `FamilyCycle` has them, `Guidance` does not.

    All may be functions of the generation.

    Raises ValueError if a scale is not finite, noise is negative or does not fall, the numbers of
    levels differ, t_l or s is not greater than 0, C is below 2, or one of s and C is missing.

    Source: the closed form is a derivation of this project; for the second law, the posterior of
    a prompt among C that are equally far apart.
    """

    scale: Float[Array, "L ..."] = eqx.field(converter=parameter)
    noise: Float[Array, "L ..."] = eqx.field(converter=parameter)
    late: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)
    separation: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)
    prompts: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)

    def __check_init__(self):
        require_finite("scale", self.scale)
        require_nonnegative("noise", self.noise)
        if concrete(self.noise) and np.any(np.diff(np.asarray(self.noise), axis=0) >= 0):
            raise ValueError("noise must fall from level to level.")
        if not callable(self.scale) and not callable(self.noise):
            levels = [np.shape(x)[:1] for x in (self.scale, self.noise)]
            if levels[0] != levels[1] or not levels[0]:
                raise ValueError(
                    f"scale and noise must have one entry a level, got the shapes "
                    f"{self.scale.shape} and {self.noise.shape}."
                )
        if self.late is not None:
            require_positive("late", self.late)
        if (self.separation is None) != (self.prompts is None):
            raise ValueError("separation and prompts must be given together.")
        if self.separation is not None:
            require_positive("separation", self.separation)
            require("prompts", self.prompts, "at least 2", lambda C: C >= 2)

    def among(self, within: ArrayLike, between: ArrayLike) -> "AtLevels":
        """Return the scale that acts on families with these V_W and V_B, with both laws applied.

        `within` and `between` have the shape of the traits [...], in feature units squared.
        """
        V_W, V_B = real(within), real(between)
        w, t = self.weakened(max(V_W.ndim, V_B.ndim))
        if self.separation is not None and self.prompts is not None:
            apart = V_B / (V_W + t)
            if apart.ndim > 1:
                apart = jnp.mean(apart, axis=-1, keepdims=True)
            # Beyond e^50 guidance has ended; the cut keeps derivatives finite.
            grown = jnp.exp(jnp.minimum(self.separation * apart, _LARGEST_EXPONENT))
            w = 1 + self.prompts / (self.prompts - 1 + grown) * (w - 1)
        return AtLevels(w, t)

    def weakened(self, traits: int) -> tuple[Float[Array, "L ..."], Float[Array, "L ..."]]:
        """Return the scale under `late`, and the noise, with at least `traits` axes after L."""
        axes = max(traits + 1, self.scale.ndim, self.noise.ndim)
        w, t = (x.reshape(x.shape + (1,) * (axes - x.ndim)) for x in (self.scale, self.noise))
        return (w if self.late is None else 1 + (w - 1) / (1 + t / self.late)), t


def transport_on_levels(
    levels: AtLevels,
    conditional: ArrayLike,
    unconditional: ArrayLike,
    operator: Literal["ddim", "ddpm"],
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Compute A and V of `qtm.selection.transport` for a scale constant between noise levels.

    The limit V_c = 0 is that of a scale that is greater than 0 at low noise: A = 1, V = 0.
    """
    V_c, V_u = real(conditional), real(unconditional)
    spread = V_c > 0
    V_c = jnp.where(spread, V_c, V_u)
    w, noise = levels.weakened(max(V_c.ndim, V_u.ndim))
    t = jnp.concatenate([noise, jnp.zeros_like(noise[:1])])
    dy_c = -jnp.diff(jnp.log(V_c + t), axis=0)
    dy_u = -jnp.diff(jnp.log(V_u + t), axis=0)
    cell = w * dy_c + (1 - w) * dy_u
    # R from noise 0 up to each level, 0 at the last. As a product with a triangle of ones it
    # compiles and runs faster than as a cumulative sum.
    L = len(cell)
    R = jnp.tensordot(jnp.asarray(np.triu(np.ones((L + 1, L)))), cell, axes=1)
    if operator == "ddim":
        fall = jnp.exp(-R / 2)
        A = fall[0] + jnp.sum(w * dy_c / 2 * fall[1:] * _mean_decay(cell / 2), axis=0)
        V = (V_c + t[0]) * jnp.exp(-R[0])
    else:
        fall = jnp.exp(-R)
        A = fall[0] + jnp.sum(w * dy_c * fall[1:] * _mean_decay(cell), axis=0)
        start = jnp.square(fall[1:]) * (V_c + t[1:])
        V = jnp.square(fall[0]) * (V_c + t[0])
        V = V + jnp.sum(dy_c * start * _mean_decay(2 * cell - dy_c), axis=0)
    return jnp.where(spread, A, 1.0), jnp.where(spread, V, 0.0)


def _mean_decay(x: Array) -> Array:
    """Compute (1 - e^(-x))/x, the mean of e^(-y) over y from 0 to x."""
    tiny = jnp.abs(x) < 1e-4
    safe = jnp.where(tiny, 1.0, x)
    return jnp.where(tiny, 1 - x / 2 + jnp.square(x) / 6, -jnp.expm1(-safe) / safe)
