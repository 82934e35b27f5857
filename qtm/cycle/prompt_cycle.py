"""The life cycle of prompts: mean vectors and covariances."""

from typing import Literal, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import (
    optional_parameter,
    parameter,
    real,
    require,
    require_double,
    require_finite,
    require_fraction,
    require_nonnegative,
    require_positive,
    safe_sqrt,
)
from qtm.cycle._laws import in_generation, lag, saturated
from qtm.mixture.flow import guided
from qtm.mixture.levels import NoiseLevels
from qtm.states.prompts import Prompts, covariance_of_each

_FRACTIONS = (
    "heritability", "within_heritability", "uptake", "leak", "real_share", "condition_drop",
)  # fmt: skip
_NONNEGATIVE = ("blur", "mutation_variance", "training_noise", "drop_uptake")


class PromptCycle(eqx.Module):
    """One generation of prompts: inherit -> guide -> bound -> mutate -> sample.

    The state are the prompts' means M_c and covariances P_c in K traits (`Prompts`). The base
    model draws N(M_0c, P_0c), and the real images of prompt c are N(R_c, Q_c).

        train on   M <- (1 - a) M + a R,   P <- (1 - a) P + a Q + V_d
        leak       M <- (1 - l) M + l m,   m the mean over prompts
        inherit    M <- M_0 + h r (M - M_0),   P <- (1 - h_W) P_0 + h_W P,
                   r = [1 + (d/d_max)^4]^(-1/4),   d the length of M - M_0
        uptake     the unconditional branch is a mixture of prompts with
                   U = (1 - u*) M_0 + u* M,   1 - u* = (1 - u) e^(-k p),   and the covariances
                   (1 - u*) P_0 + u* P + b B,   B the covariance of the U
        guide      (M, P) <- guided sampling with both branches (`qtm.mixture.flow`)
        bound      M <- m_0 + (M - m_0) [1 + (D/D_max)^4]^(-1/4),   P shrinks by the square,
                   D the length of M - m_0; lengths are in standard deviations of the base, per
                   trait
        mutate     P <- P + V_m
        sample     M <- M + N(0, P/n), with a key

    Guidance pushes a prompt away from what the unconditional branch expects at the same place. At
    high noise that is the mean over prompts, at low noise the prompt itself as the base draws it,
    as far as the branch has not followed (u* < 1) and is not sharp (b > 0). Hence the selection
    differential of a prompt is a vector, which need not lie along M_c - m.

    - `heritability` is h, `within_heritability` h_W (h unless given), numbers or `[K]`; `base` are
      the `Prompts` of the base model, `real` those of real images (the base unless given);
    - `scale` is w, a number or one for each step of the sampler `[L]`, `levels` the `NoiseLevels`
      that it visits, `operator` "ddim" or "ddpm"; `unconditional` "mixture", or "gaussian" for one
      Gaussian with the moments of that mixture; `saturation` c takes w - 1 as
      (w - 1)/(1 + |w - 1|/c);
    - `uptake` is u, `blur` b, `condition_drop` p the probability that finetuning sees the empty
      prompt, `drop_uptake` k its effect;
    - `reach` is d_max: finetuning takes a prompt at most h d_max from where the base has it;
    - `leak` is l, the fraction of a prompt's mean that other prompts' training overwrites;
    - `real_share` is a, the fraction of real images in training sets, `training_noise` V_d the
      variance of noise that is put on training images;
    - `bound` is D_max, the farthest from the base that images can be, `mutation_variance` V_m, a
      number or `[K]`, `size` n the images of each prompt; no bound, no end of the reach and no
      sampling unless given.

    Variances are in feature units squared, fractions, b, c and k without units. Every number may
    be a function of the generation. In one trait, with one Gaussian as unconditional, it is
    `FamilyCycle`; with exact scores (u = 1, b = 0) and drawn images it is `qtm.mixture.chain`.

    Raises ValueError if a fraction is not in [0, 1], the scale not finite, a variance, b or k
    negative, c, d_max or D_max not greater than 0, n below 1, the operator or the unconditional
    unknown, or base and real images have other prompts.

    Source: a derivation of this project, from guided sampling with exact scores of mixtures
    (Bradley & Nakkiran, arXiv 2408.09000) and multivariate selection (Lande 1979).
    """

    heritability: Float[Array, "..."] = eqx.field(converter=parameter)
    scale: Float[Array, "..."] = eqx.field(converter=parameter)
    base: Prompts
    levels: NoiseLevels
    uptake: Float[Array, "..."] = eqx.field(default=1.0, converter=parameter)
    blur: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    leak: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    mutation_variance: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    within_heritability: Float[Array, "..."] | None = eqx.field(
        default=None, converter=optional_parameter
    )
    operator: Literal["ddim", "ddpm"] = eqx.field(default="ddim", static=True)
    unconditional: Literal["mixture", "gaussian"] = eqx.field(default="mixture", static=True)
    saturation: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)
    bound: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)
    reach: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)
    size: Float[Array, "..."] | None = eqx.field(default=None, converter=optional_parameter)
    real: Prompts | None = None
    real_share: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    training_noise: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    condition_drop: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)
    drop_uptake: Float[Array, "..."] = eqx.field(default=0.0, converter=parameter)

    def __check_init__(self):
        checks = dict.fromkeys(_FRACTIONS, require_fraction)
        checks |= dict.fromkeys(_NONNEGATIVE, require_nonnegative)
        checks |= {"scale": require_finite, "saturation": require_positive}
        checks |= {"bound": require_positive, "reach": require_positive}
        for name, check in checks.items():
            if getattr(self, name) is not None:
                check(name, getattr(self, name))
        if self.size is not None:
            require("size", self.size, "at least 1", lambda n: n >= 1)
        for name, allowed in (
            ("operator", ("ddim", "ddpm")),
            ("unconditional", ("mixture", "gaussian")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}."
                )
        if self.real is not None and self.real.means.shape != self.base.means.shape:
            raise ValueError(
                f"real must have the prompts and traits of the base, {self.base.means.shape}, got "
                f"{self.real.means.shape}."
            )

    def step(
        self,
        state: Prompts,
        key: PRNGKeyArray | None = None,
        generation: ArrayLike | None = None,
    ) -> Prompts:
        """Return the prompts of the next generation; its index matters to schedules only.

        With a key, the means drift as those of n images do; without, they are expectations.

        Raises ValueError if a parameter is a function and no generation is given, for a key without
        a size, and for a state with other prompts than the base.
        """
        require_double()
        if state.means.shape != self.base.means.shape:
            raise ValueError(
                f"the state must have the prompts and traits of the base, {self.base.means.shape}, "
                f"got {state.means.shape}."
            )
        if key is not None and self.size is None:
            raise ValueError("size must be given with a key: drift depends on it.")
        return in_generation(self, generation)._step(state, key)

    @eqx.filter_jit
    def path(self, state: Prompts, generations: int, key: PRNGKeyArray | None = None) -> Prompts:
        """Return all generations, 0 included, as prompts whose arrays begin with T = G + 1.

        Generation t uses `jax.random.fold_in(key, t)`: a longer path repeats a shorter one.
        """
        state = Prompts(state.means, covariance_of_each(state), state.weights)

        def produce(now: Prompts, t: Array) -> tuple[Prompts, Prompts]:
            later = self.step(now, None if key is None else jr.fold_in(key, t), t)
            return later, later

        _, later = lax.scan(produce, state, jnp.arange(1, generations + 1))
        return jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), state, later)

    def inherited(self, state: Prompts) -> Prompts:
        """Return the prompts that the finetuned model draws without guidance."""
        base, a, h = self.base, self.real_share, self.heritability
        h_W = h if self.within_heritability is None else self.within_heritability
        real_images = base if self.real is None else self.real
        M = (1 - a) * state.means + a * real_images.means
        P = (1 - a) * covariance_of_each(state) + a * covariance_of_each(real_images)
        P = P + _diagonal(self.training_noise, P)
        M = M + self.leak * (state.weights @ M - M)
        # A matrix moves towards the base along each pair of traits.
        pairs = safe_sqrt(h_W)[..., :, None] * safe_sqrt(h_W)[..., None, :] if h_W.ndim else h_W
        P_0, d = covariance_of_each(base), M - base.means
        if self.reach is not None:
            d = saturated(self._length(d) / self.reach)[:, None] * d
        return Prompts(base.means + h * d, P_0 + pairs * (P - P_0), state.weights)

    def unguided(self, inherited: Prompts) -> Prompts:
        """Return the components of the unconditional branch, as guidance sees them."""
        base = self.base
        stays = lag(self.uptake, self.drop_uptake, self.condition_drop)
        U = stays * base.means + (1 - stays) * inherited.means
        V = stays * covariance_of_each(base) + (1 - stays) * covariance_of_each(inherited)
        branch = Prompts(U, V, inherited.weights)
        B = branch.between
        if self.unconditional == "gaussian":
            # Among all images the means have the divisor 1, that of a distribution.
            spread = 1 - jnp.sum(jnp.square(branch.weights)) + self.blur
            return Prompts(branch.mean[None], (branch.pooled + spread * B)[None])
        return Prompts(U, V + self.blur * B, inherited.weights)

    def _length(self, d: Float[Array, "C K"]) -> Float[Array, " C"]:
        """Return the root-mean-square of deviations in standard deviations of the base."""
        return safe_sqrt(jnp.mean(jnp.square(d) / self.base.variance, axis=1))

    @eqx.filter_jit
    def _step(self, state: Prompts, key: PRNGKeyArray | None) -> Prompts:
        inherited = self.inherited(state)
        w = self.scale
        if self.saturation is not None:
            w = 1 + (w - 1) / (1 + jnp.abs(w - 1) / self.saturation)
        drawn = guided(inherited, self.unguided(inherited), w, self.levels, self.operator)
        M, P = drawn.means, covariance_of_each(drawn)
        if self.bound is not None:
            d = M - self.base.mean
            kept = saturated(self._length(d) / self.bound)
            M, P = self.base.mean + kept[:, None] * d, jnp.square(kept)[:, None, None] * P
        P = P + _diagonal(self.mutation_variance, P)
        if key is not None:
            e = jr.normal(key, M.shape)
            L = jnp.linalg.cholesky(P)
            M = M + jnp.einsum("cij,cj->ci", L, e) / jnp.sqrt(cast(Array, self.size))
        return Prompts(M, P, state.weights)


def _diagonal(variance: Array, P: Array) -> Array:
    """Return a variance, a number or [K], as a diagonal matrix like the covariances P."""
    return real(variance)[..., None] * jnp.eye(P.shape[-1])
