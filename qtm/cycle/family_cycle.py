"""The life cycle of prompt families."""

from typing import Literal, cast

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import (
    concrete,
    optional_parameter,
    parameter,
    require,
    require_double,
    require_finite,
    require_fraction,
    require_nonnegative,
    require_positive,
    safe_sqrt,
)
from qtm.cycle._laws import in_generation, lag, saturated
from qtm.selection import Selection
from qtm.selection.guidance import Guidance, require_scale, scale_or_schedule
from qtm.selection.levels import AtLevels
from qtm.selection.noise import ByNoise
from qtm.selection.transport import ddim_variance
from qtm.states import Families, Moments

_FRACTIONS = (
    "heritability", "within_heritability", "uptake", "mean_uptake", "real_share", "condition_drop",
    "confusion",
)  # fmt: skip
_NONNEGATIVE = ("mutation_variance", "drop_mutation", "drop_uptake", "training_noise")


class FamilyCycle(eqx.Module):
    """One generation of families: inherit -> guide -> select -> bound, confuse, mutate -> sample.

    The state is measured on n images a family: m, V_W with ddof = 1, and V_B, the variance of the
    means of images. The base model's families are (m_0, V_W0, V_B0).

        train on   V_W <- (1 - a) V_W (1 - 1/n) + a V_W0 + V_d,   m <- (1 - a) m + a m_0,
                   V_B <- [(1 - a) sqrt(V_B) + a sqrt(V_B0)]^2
        inherit    V_W <- (1 - h_W) V_W0 + h_W V_W,   m <- (1 - h) m_0 + h m,
                   V_B <- [(1 - h) sqrt(V_B0) + h sqrt(V_B)]^2
        uptake     V_U = (1 - u*)(V_W0 + V_B0) + u* (V_W + V_B),   1 - u* = (1 - u) e^(-k p),
                   m_u = (1 - u_m) m_0 + u_m m
        guide      V_W <- V_W^w V_U^(1-w) (DDIM),   V_B <- A^2 V_B,   m <- m_u + A (m - m_u)
        select     (m, V_W) <- those of `selection`,   V_B <- (dm*/dm)^2 V_B
        bound      V_B <- V_B [1 + (V_B/b)^4]^(-1/4)
        confuse    V_W <- V_W + [1 - (1 - l)^2] V_B,   V_B <- (1 - l)^2 V_B
        mutate     V_W <- V_W + V_m + p V_p
        sample     V_B <- V_B + V_W/n

    Sampling takes its fraction of V_W at training: a model that is fitted to n images has their
    variance about their sample mean, V_W (1 - 1/n). V_W is recorded.

    A family's deviation from the mean regresses to the deviation that it has in the base model, and
    guidance and inheritance only stretch deviations: they stay in line with those of the base.
    Hence the square of the sum of standard deviations; its terms beside h^2 V_B are the base terms.
    A base with V_B0 = 0 has none, a model that knows no prompt, and V_B is held where h A = 1
    (`neutral_scale`). Uptake sets how far the unconditional branch follows the data, by weights
    that both branches share (u) or by dropped conditions (k p): with u* = 0 it stays the base
    model's, with u* = 1 it is that of the population as inherited, which shrinks the difference
    that guidance magnifies.

    - `heritability` is h, `within_heritability` h_W (h unless given), `base` a `Families`;
    - `scale` is w, a number or a schedule over noise levels (`ByNoise`, `AtLevels`), or None for
      sampling without guidance; `operator` "ddim", "ddpm" or "tilt" as in `Guidance`;
      `response_slope` s takes A = 1 + s (w - 1), its first order, for the A of DDIM;
    - `uptake` is u, `mean_uptake` u_m (u unless given), `condition_drop` p the probability that
      finetuning sees the empty prompt, `drop_uptake` k and `drop_mutation` V_p its effects;
    - `real_share` is a, the fraction of real images in training sets, `training_noise` V_d the
      variance of noise that is put on training images;
    - `selection` is a form of selection (`qtm.Truncation`, ...) that acts in every family; its
      effect on V_B is of first order in deviations. `direction` +1 or -1 is the sign of the trait
      as selection sees it;
    - `bound` is b, the largest V_B that images can have, `confusion` l the fraction of images
      that depict another prompt, `mutation_variance` V_m, `size` n, a mean where families
      differ; no bound, and no sampling, unless given.

    Variances are in feature units squared, fractions and k without units. Every number may be a
    function of the generation. `evolve` records V_W and V_B as `within` and `between`.
    Expectations, without random drift.

    Raises ValueError if a fraction is not in [0, 1], the scale or s not finite, a variance or k
    negative, b not greater than 0, n below 1, the direction not +1 or -1, the operator unknown or a
    tilt with a schedule, s given without a number as scale and DDIM, or the base without variance.

    Source: the family model is a derivation of this project, from the transport of Gaussians by
    guided samplers (Bradley & Nakkiran, arXiv 2408.09000) and regression on parents.
    """

    heritability: Float[Array, "..."] = eqx.field(converter=parameter)
    scale: Float[Array, "..."] | ByNoise | AtLevels | None = eqx.field(
        converter=lambda w: None if w is None else scale_or_schedule(w)
    )
    base: Families
    uptake: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    mutation_variance: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    within_heritability: Float[Array, "..."] | None = eqx.field(
        default=None, converter=optional_parameter
    )
    operator: Literal["tilt", "ddim", "ddpm"] = eqx.field(default="ddim", static=True)
    size: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)
    mean_uptake: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)
    real_share: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    training_noise: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    condition_drop: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    drop_uptake: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    drop_mutation: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    response_slope: Float[Array, "..."] | None = eqx.field(
        default=None, converter=optional_parameter
    )
    selection: Selection | None = None
    direction: Float[Array, "..."] = eqx.field(default=1.0, converter=parameter)
    bound: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)
    confusion: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)

    def __check_init__(self):
        checks = dict.fromkeys(_FRACTIONS, require_fraction)
        checks |= dict.fromkeys(_NONNEGATIVE, require_nonnegative)
        checks |= {"response_slope": require_finite, "bound": require_positive}
        for name, check in checks.items():
            if getattr(self, name) is not None:
                check(name, getattr(self, name))
        if self.size is not None:
            require("size", self.size, "at least 1", lambda n: n >= 1)
        require("direction", self.direction, "+1 or -1", lambda sign: abs(sign) == 1)
        if not callable(self.base) and concrete(self.base.within) and concrete(self.base.between):
            require_positive("variance of the base", self.base.variance)
        require_scale(jnp.ones(()) if self.scale is None else self.scale, self.operator)
        constant = self.scale is not None and not isinstance(self.scale, ByNoise | AtLevels)
        if self.response_slope is not None and not (constant and self.operator == "ddim"):
            raise ValueError("response_slope needs a number as scale and the operator ddim.")

    def step(
        self,
        state: Families,
        key: PRNGKeyArray | None = None,
        generation: ArrayLike | None = None,
    ) -> Families:
        """Return the families of the next generation; its index matters to schedules only.

        Raises ValueError if a parameter is a function and no generation is given, for a key, and
        for a tilt without a positive precision; inside `jit` the latter gives nan.
        """
        require_double()
        if key is not None:
            raise ValueError("key must be None for Families, which take their expectation.")
        return in_generation(self, generation)._step(state)

    def _step(self, state: Families) -> Families:
        families = self._guided(self._inherited(state))
        if self.selection is not None:
            families = self.selection.families(_mirrored(families, self.direction))
            families = _mirrored(families, self.direction)
        return self._sampled(families)

    def _inherited(self, state: Families) -> Families:
        base, h, a = self.base, self.heritability, self.real_share
        h_W = h if self.within_heritability is None else self.within_heritability
        V_W = state.within if self.size is None else state.within * (1 - 1 / self.size)
        V_W = (1 - a) * V_W + a * base.within + self.training_noise
        m = (1 - a) * state.mean + a * base.mean
        start = safe_sqrt(base.between)
        deviation = (1 - a) * safe_sqrt(state.between) + a * start
        deviation = (1 - h) * start + h * deviation
        return Families(
            (1 - h) * base.mean + h * m,
            (1 - h_W) * base.within + h_W * V_W,
            jnp.square(deviation),
        )

    def _guided(self, families: Families) -> Families:
        if self.scale is None:
            return families
        m, base = families.mean, self.base
        stays = lag(self.uptake, self.drop_uptake, self.condition_drop)
        V_U = stays * base.variance + (1 - stays) * families.variance
        # families without any variance, all taken up, have no guidance
        V_U = jnp.where(V_U > 0, V_U, 1.0)
        u = self.uptake if self.mean_uptake is None else self.mean_uptake
        m_u = (1 - u) * base.mean + u * m
        if self.response_slope is not None:
            w = cast(Array, self.scale)
            A, V_W = 1 + self.response_slope * (w - 1), ddim_variance(w, families.within, V_U)
            return Families(m_u + A * (m - m_u), V_W, jnp.square(A) * families.between)
        w = self.scale
        if isinstance(w, AtLevels):
            w = w.among(families.within, families.between)
        return Guidance(w, Moments(m_u, V_U), self.operator).families(families)

    def _sampled(self, families: Families) -> Families:
        m, V_W, V_B = families.mean, families.within, families.between
        if self.bound is not None:
            V_B = V_B * saturated(V_B / self.bound)
        kept = jnp.square(1 - self.confusion)
        V_W, V_B = V_W + (1 - kept) * V_B, kept * V_B
        V_W = V_W + self.mutation_variance + self.drop_mutation * self.condition_drop
        return Families(m, V_W, V_B if self.size is None else V_B + V_W / self.size)


def _mirrored(families: Families, sign: ArrayLike) -> Families:
    """Multiply the trait of families by +1 or -1."""
    return Families(sign * families.mean, families.within, families.between)
