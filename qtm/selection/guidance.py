"""Classifier-free guidance as selection."""

from collections.abc import Callable
from typing import Any, Literal, Self, cast

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import parameter, require_finite, require_positive, safe_sqrt, valid_where
from qtm.selection._base import Selection, draw_parents
from qtm.selection.levels import AtLevels, transport_on_levels
from qtm.selection.noise import ByNoise
from qtm.selection.schedule import scheduled
from qtm.selection.transport import ddim_response, ddim_variance, ddpm_response, ddpm_variance
from qtm.states import Density, Individuals, Moments, State
from qtm.states.density import resolved, with_density
from qtm.states.grid import carried, reweighted

_OPERATORS = ("tilt", "ddim", "ddpm")


def scale_or_schedule(value: ArrayLike | ByNoise | AtLevels) -> Any:
    """Return a schedule over noise levels as it is, anything else as `parameter` does."""
    return value if isinstance(value, ByNoise | AtLevels) else parameter(value)


def require_scale(
    scale: Float[Array, "..."] | ByNoise | AtLevels | Callable[..., Any], operator: str
) -> None:
    """Raise ValueError for an unknown operator, or a scale that is not finite or not for it."""
    if operator not in _OPERATORS:
        raise ValueError(f"operator must be one of {', '.join(_OPERATORS)}, got {operator!r}.")
    if not isinstance(scale, ByNoise | AtLevels):
        require_finite("scale", scale)
    elif operator == "tilt":
        raise ValueError("operator must be ddim or ddpm for a scale by noise, got 'tilt'.")


class Guidance(Selection):
    """Guided sampling with scale w, conditional N(m_c, V_c), unconditional N(m_u, V_u).

    The population is the conditional; the guided score is w s_c + (1 - w) s_u. The outcome depends
    on the sampler, and guided samplers do not sample the tilted density:

    - "tilt", the density p_c^w p_u^(1-w). With the precision L = w/V_c + (1 - w)/V_u > 0,
      m* = [w m_c/V_c + (1 - w) m_u/V_u]/L,   V* = 1/L.
      Individuals are reweighted, with the Gaussian of the population's moments as p_c.
    - "ddim", the probability-flow ODE with exact scores:
      m* = m_u + A (m_c - m_u),   V* = V_c^w V_u^(1-w),   A from `ddim_response`.
      Individuals are drawn uniformly and mapped by the affine map with these moments: a sampler
      moves images, it does not choose among them. A density is mapped likewise.
    - "ddpm", the reverse SDE with exact scores, r = V_c/V_u:
      m* = m_u + A (m_c - m_u), A = (1 - r^w)/(1 - r),
      V* = V_c^(2w) V_u^(2-2w) (r^(1-2w) - 1)/[(V_u - V_c)(2w - 1)].
      The noise on the way erases a single image: individuals are drawn anew, and a density becomes
      the Gaussian.

    `scale` is a number or, for the two samplers, a schedule over noise levels, `ByNoise` or
    `AtLevels`, which replaces it inside the integrals of A and V*. It broadcasts against the
    traits; it and `unconditional` (a `Moments`, feature units) may be functions of the generation.
    A population without variance is unchanged (the limit V_c -> 0 for w > 0).

    Raises ValueError if the scale is not finite, an unconditional variance not greater than 0, the
    operator unknown, a tilt given a schedule over noise levels, levels a `separation`, which only
    families have, or the precision of a tilt not greater than 0. The last depends on the
    population: inside `jit` it gives nan.

    Source: Ho & Salimans, arXiv 2207.12598; Bradley & Nakkiran, arXiv 2408.09000; Song et al.,
    arXiv 2011.13456, on the two samplers.
    """

    scale: Float[Array, "..."] | ByNoise | AtLevels = eqx.field(converter=scale_or_schedule)
    unconditional: Moments
    operator: Literal["tilt", "ddim", "ddpm"] = eqx.field(default="ddim", static=True)

    def __check_init__(self):
        require_scale(self.scale, self.operator)
        if isinstance(self.scale, AtLevels) and self.scale.separation is not None:
            raise ValueError("separation must be None for one population, which has no families.")
        if not callable(self.unconditional):
            require_positive("unconditional variance", self.unconditional.variance)

    @classmethod
    def examples(cls) -> list[Self]:
        unconditional = Moments(mean=-0.5, variance=2.0)
        return [cls(w, unconditional, operator) for operator in _OPERATORS for w in (0.4, 2.5)]

    def moments(self, state: Moments) -> Moments:
        if self.operator == "tilt":
            return self._tilt(state)
        A, V = transport(self.scale, state.variance, self.unconditional.variance, self.operator)
        m_u = self.unconditional.mean
        return Moments(m_u + A * (state.mean - m_u), V)

    def density(self, state: Density) -> Density:
        after = self.moments(Moments(state.mean, state.variance))
        if self.operator == "tilt":
            exists = jnp.where(jnp.isfinite(after.mean), 0.0, jnp.nan)
            return reweighted(state, self.log_fitness(state.nodes, state) + exists)
        if self.operator == "ddim":
            return carried(state, after.mean, safe_sqrt(after.variance / state.variance))
        x = after.standardize(state.nodes)
        return resolved(with_density(state, jnp.exp(-jnp.square(x) / 2)))

    def individuals(self, state: Individuals, key: PRNGKeyArray, size: int) -> Individuals:
        before = Moments(state.mean, state.variance)
        after = self.moments(before)
        if self.operator == "tilt":
            exists = jnp.where(jnp.isfinite(after.mean), 0.0, jnp.nan)
            return draw_parents(state, self.log_fitness(state.values, state) + exists, key, size)
        if self.operator == "ddpm":
            noise = jr.normal(key, (size, *after.mean.shape))
            return Individuals(after.mean + safe_sqrt(after.variance) * noise)
        chosen = draw_parents(state, jnp.zeros_like(state.values), key, size).values
        stretch = safe_sqrt(after.variance / jnp.where(before.variance > 0, before.variance, 1.0))
        return Individuals(after.mean + stretch * (chosen - before.mean))

    def log_fitness(self, z: ArrayLike, population: State) -> Float[Array, "..."]:
        """Return (w - 1) [ln p_c(z) - ln p_u(z)] up to a constant: the tilt, as selection on p_c.

        Raises ValueError for samplers, which move individuals without a fitness.
        """
        if self.operator != "tilt" or isinstance(self.scale, ByNoise | AtLevels):
            raise ValueError(f"operator must be tilt to have a fitness, got {self.operator!r}.")
        x_c = Moments(population.mean, population.variance).standardize(z)
        x_u = self.unconditional.standardize(z)
        return (self.scale - 1) * (jnp.square(x_u) - jnp.square(x_c)) / 2

    def _tilt(self, state: Moments) -> Moments:
        w, V_c, V_u = cast(Array, self.scale), state.variance, self.unconditional.variance
        rest = (1 - w) * V_c / V_u
        L = w + rest  # the precision in units of 1/V_c: no division by a variance that may be 0
        exists = valid_where(
            "tilt precision w + (1 - w) V_c/V_u", L, "greater than 0", lambda L: L > 0
        )
        L = jnp.where(exists, L, jnp.nan)
        return Moments((w * state.mean + rest * self.unconditional.mean) / L, V_c / L)


def transport(
    scale: ArrayLike | ByNoise | AtLevels,
    conditional: ArrayLike,
    unconditional: ArrayLike,
    operator: Literal["ddim", "ddpm"] = "ddim",
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Compute A, the factor of m_c - m_u under a guided sampler, and its variance V*."""
    if isinstance(scale, ByNoise):
        return scheduled(scale, conditional, unconditional, stochastic=operator == "ddpm")
    if isinstance(scale, AtLevels):
        return transport_on_levels(scale, conditional, unconditional, operator)
    formulas = (
        (ddim_response, ddim_variance) if operator == "ddim" else (ddpm_response, ddpm_variance)
    )
    A, V = (formula(scale, conditional, unconditional) for formula in formulas)
    return A, V
