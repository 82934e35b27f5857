"""Guided sampling with exact scores."""

from collections.abc import Callable
from functools import partial
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Float, Key, PRNGKeyArray, UInt32

from qtm._core.numerics import real, require_double, require_finite, safe_sqrt
from qtm.mixture._blocks import blocks, chunks
from qtm.mixture.distribution import Mixture, denoised
from qtm.mixture.levels import NoiseLevels

_OPERATORS = ("ddim", "ddpm")


class Sampler(eqx.Module):
    """K steps of guided sampling down the noise levels s_0 > ... > s_K.

    With D_c and D_u the conditional and unconditional `Mixture.denoise`, a step from s to s' is

        D = w D_c + (1 - w) D_u,   e = (y - D)/s,   y' = D + sqrt(s'^2 - v) e + sqrt(v) xi

    with v = 0 for "ddim", and v = s'^2 (1 - s'^2/s^2), xi ~ N(0, 1), for "ddpm" (ancestral).

    `scale` is w, classifier-free guidance, of the score w s_c + (1 - w) s_u: a number, an array [K]
    with one for each step, or a function of the levels s [K] at which the steps begin, such as
    `interval(...)`. It is stored as an array [K]. Where w = 1 the unconditional costs nothing.

    Raises ValueError if a scale is not finite or does not fit the steps, or the operator is
    unknown.

    Source: Song, Meng & Ermon, arXiv 2010.02502, equation 12, in y = x/sqrt(A); Ho & Salimans,
    arXiv 2207.12598.
    """

    levels: NoiseLevels
    scale: Float[Array, " K"]
    operator: Literal["ddim", "ddpm"] = eqx.field(static=True)

    def __init__(
        self,
        levels: NoiseLevels,
        scale: ArrayLike | Callable[[Float[Array, " K"]], ArrayLike] = 1.0,
        operator: Literal["ddim", "ddpm"] = "ddim",
    ):
        w = real(scale(levels.levels[:-1]) if callable(scale) else scale)
        if w.shape not in ((), (1,), (levels.steps,)):
            raise ValueError(f"scale must have shape [] or [{levels.steps}], got {w.shape}.")
        require_finite("scale", w)
        if operator not in _OPERATORS:
            raise ValueError(f"operator must be one of {', '.join(_OPERATORS)}, got {operator!r}.")
        self.levels = levels
        self.scale = jnp.broadcast_to(w, (levels.steps,))
        self.operator = operator


def interval(
    scale: float, low: float, high: float
) -> Callable[[Float[Array, "..."]], Float[Array, "..."]]:
    """Return guidance at noise levels low <= s < high only: w = `scale` there and 1 elsewhere.

    Source: Kynkäänniemi et al., arXiv 2404.07724.
    """
    return lambda s: jnp.where((s >= low) & (s < high), scale, 1.0)


@partial(jax.jit, static_argnames="size")
def keys_of(
    key: PRNGKeyArray, generation: int, size: int
) -> Key[Array, " size"] | UInt32[Array, "size ..."]:
    """Return a key for each of `size` samples of a generation, the same in any batch."""
    return jax.vmap(jr.fold_in, (None, 0))(jr.fold_in(key, generation), jnp.arange(size))


def sample(
    conditional: Mixture,
    unconditional: Mixture,
    families: ArrayLike,
    keys: Key[Array, " n"],
    sampler: Sampler,
) -> Float[Array, "n d"]:
    """Draw a guided sample (feature units) for each family (prompt) c [n] and key [n].

    c counts the families of `conditional`; `unconditional` may have other families.
    Sample i depends on its family and its key alone, up to the rounding of batched arithmetic.
    A step costs 4 (C r + r') d operations a sample, with C families of r axes in the unconditional
    and r' axes of the conditional; samples are processed in parts that fit into 256 MB.

    Raises ValueError if the shapes do not match or a family does not exist.
    """
    require_double()
    c = np.asarray(families)
    if c.ndim != 1 or keys.shape != c.shape or not np.issubdtype(c.dtype, np.integer):
        raise ValueError(
            f"families must be whole numbers [n] with one of keys [n] each, got {c.dtype} "
            f"{c.shape} and {keys.shape}."
        )
    if conditional.dimension != unconditional.dimension:
        raise ValueError(
            f"unconditional must have {conditional.dimension} traits as conditional has, got "
            f"{unconditional.dimension}."
        )
    if c.size == 0:
        return jnp.zeros((0, conditional.dimension))
    if c.min() < 0 or c.max() >= conditional.families:
        bad = c.max() if c.min() >= 0 else c.min()
        raise ValueError(f"families must be 0 to {conditional.families - 1}, got {bad}.")
    owner, members = blocks(c)
    out = np.empty((len(c), conditional.dimension))
    C, d, r = unconditional.axes.shape
    for part in chunks(*members.shape, C=C, d=d, r=r):
        rows = members[part]
        out[rows] = _run(conditional, unconditional, owner[part], keys[rows], sampler)
    return jnp.asarray(out)


@eqx.filter_jit
def _run(
    conditional: Mixture, unconditional: Mixture, owner: np.ndarray, keys: Array, sampler: Sampler
) -> Float[Array, "B b d"]:
    B, b, d = *keys.shape, conditional.dimension
    Q, m = conditional.axes[owner], conditional.means[owner][:, None]
    V = conditional.spectra[owner][:, None]
    schedule = sampler.levels

    @partial(jax.vmap, in_axes=(0, None))
    @partial(jax.vmap, in_axes=(0, None))
    def noise(key: PRNGKeyArray, i: ArrayLike) -> Array:
        return jr.normal(jr.fold_in(key, i), (d,))

    def step(y: Array, now: tuple[Array, ...]) -> tuple[Array, None]:
        s, s_next, w, i = now
        q = jnp.einsum("bnd,bdr->bnr", y - m, Q)
        D_c = m + jnp.einsum("bnr,bdr->bnd", V / (V + s**2) * q, Q)

        def guided() -> Array:
            D_u = denoised(unconditional, y.reshape(B * b, d), s).reshape(B, b, d)
            return D_u + w * (D_c - D_u)

        D = lax.cond(w == 1, lambda: D_c, guided)
        e = (y - D) / s
        if sampler.operator == "ddim":
            return D + s_next * e, None
        v = s_next**2 * (1 - (s_next / s) ** 2)
        return D + s_next**2 / s * e + safe_sqrt(v) * noise(keys, i), None

    K = schedule.steps
    y = schedule.start * noise(keys, 0)
    s = schedule.levels
    y, _ = lax.scan(step, y, (s[:-1], s[1:], sampler.scale, jnp.arange(1, K + 1)))
    return schedule.signal * y
