"""The life cycle of prompt families."""

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import (
    at,
    is_scheduled,
    parameter,
    require_double,
    require_finite,
    require_integer,
    require_nonnegative,
    require_positive,
    require_share,
    safe_sqrt,
)
from qtm.selection.guidance import scale_or_schedule, transport
from qtm.selection.noise import ByNoise
from qtm.states import Families

_OPERATORS = ("ddim", "ddpm")


class FamilyCycle(eqx.Module):
    """One generation of families: inherit -> guided sampling -> mutate -> sample n images each.

    With the base model's families (m_0, V_W0, V_B0), heritability h between and h_W within:

        inherit    m <- (1 - h) m_0 + h m,   V_W <- (1 - h_W) V_W0 + h_W V_W,
                   V_B <- [(1 - h) sqrt(V_B0) + h sqrt(V_B)]^2
        uptake u   V_U = (1 - u)(V_W0 + V_B0) + u (V_W + V_B),   m_u = (1 - u) m_0 + u m
        guide      V_W <- V_W^w V_U^(1-w) (DDIM),   V_B <- A^2 V_B,   m <- m_u + A (m - m_u)
        mutate     V_W <- V_W + V_m
        sample n   V_B <- V_B + V_W/n,   V_W <- V_W (1 - 1/n)

    A family's deviation from the mean regresses to the deviation that it has in the base model, and
    guidance and inheritance only stretch deviations: they stay in line with those of the base. That
    is where the square of the sum of standard deviations comes from; its terms beside h^2 V_B are
    the base terms. A base with V_B0 = 0 has none, a model that knows no prompt, and V_B is held
    where h A = 1 (`neutral_scale`). Uptake says how far the unconditional branch follows the data,
    by dropped conditions or by weights that both branches share: with u = 0 it stays the base
    model's, with u = 1 it is that of the population as inherited, which shrinks the difference that
    guidance magnifies.

    `heritability` is h, `within_heritability` h_W (h unless given), `scale` w, a number or a
    schedule over noise levels (`ByNoise`), `base` a `Families`, `uptake` u, `mutation_variance` V_m
    (feature units squared), `operator` "ddim" or "ddpm", `size` n, the images of a family. All but
    the last two may be functions of the generation. `evolve` records V_W and V_B as `within` and
    `between`. Expectations, without random drift.

    Raises ValueError if a share is not in [0, 1], the scale not finite, V_m negative, the operator
    unknown, n no whole number of at least 1, or the base without variance.

    Source: the family model is a derivation of this project, from the transport of Gaussians by
    guided samplers (Bradley & Nakkiran, arXiv 2408.09000) and regression on parents.
    """

    heritability: Float[Array, "..."] = eqx.field(converter=parameter)
    scale: Float[Array, "..."] | ByNoise = eqx.field(converter=scale_or_schedule)
    base: Families
    uptake: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    mutation_variance: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    within_heritability: Float[Array, "..."] | None = eqx.field(
        default=None, converter=lambda h: None if h is None else parameter(h)
    )
    operator: Literal["ddim", "ddpm"] = eqx.field(default="ddim", static=True)
    size: int | None = eqx.field(default=None, static=True)

    def __check_init__(self):
        require_share("heritability", self.heritability)
        require_share("uptake", self.uptake)
        require_nonnegative("mutation_variance", self.mutation_variance)
        if self.within_heritability is not None:
            require_share("within_heritability", self.within_heritability)
        if not isinstance(self.scale, ByNoise):
            require_finite("scale", self.scale)
        if not callable(self.base):
            require_positive("variance of the base", self.base.variance)
        if self.operator not in _OPERATORS:
            raise ValueError(
                f"operator must be one of {', '.join(_OPERATORS)}, got {self.operator!r}."
            )
        if self.size is not None:
            require_integer("size", self.size, least=1)

    def step(
        self,
        state: Families,
        key: PRNGKeyArray | None = None,
        generation: ArrayLike | None = None,
    ) -> Families:
        """The families of the next generation, whose index is needed by what changes with it.

        Raises ValueError if a parameter is a function and no generation is given, or for a key.
        """
        require_double()
        if key is not None:
            raise ValueError("key must be None for Families, which take their expectation.")
        if not is_scheduled(self):
            return self._step(state)
        if generation is None:
            raise ValueError("generation must be given where a parameter depends on it, got None.")
        return at(self, generation)._step(state)

    def _step(self, state: Families) -> Families:
        h, u, base = self.heritability, self.uptake, self.base
        h_W = h if self.within_heritability is None else self.within_heritability
        m = (1 - h) * base.mean + h * state.mean
        V_W = (1 - h_W) * base.within + h_W * state.within
        V_B = jnp.square((1 - h) * safe_sqrt(base.between) + h * safe_sqrt(state.between))

        V_U = (1 - u) * base.variance + u * (V_W + V_B)
        m_u = (1 - u) * base.mean + u * m
        # families without any variance, all taken up, have no guidance to speak of
        spread = V_U > 0
        A, V_W = transport(self.scale, V_W, jnp.where(spread, V_U, 1.0), self.operator)
        m, V_B = m_u + A * (m - m_u), jnp.square(A) * V_B

        V_W = V_W + self.mutation_variance
        if self.size is not None:
            V_B, V_W = V_B + V_W / self.size, V_W * (1 - 1 / self.size)
        return Families(m, V_W, V_B)
