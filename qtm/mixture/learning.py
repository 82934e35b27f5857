"""Inheritance: the mixture that a finetuned model becomes."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import require_fraction
from qtm.mixture._spectra import factors_of, of_factors, one_thread
from qtm.mixture.distribution import Mixture


class Learning(eqx.Module):
    """Inheritance from a base mixture and a training set. By default, the data replace the base.

    A model holds each family as parameters, a mean and a covariance, and each moves a fraction of
    the way from its base value to that of the training set (`qtm.Regression` in one dimension):

        trained:        m_c* = (1 - l) m_c + l sum_k p_k m_k      the refitted family, and the leak
        conditional:    m_c' = (1 - h) m_c,base + h m_c*          the source of a prompt's images
        unconditional:  m_c" = (1 - u) m_c,base + u m_c'          pushed away from by guidance

    and covariances (within families) and weights p_c likewise. At u = 1 the unconditional is the
    mixture of the conditional families, at u = 0 that of the base model.

    `heritability` is h, `spread_heritability` the h of covariances where it differs; `uptake` is
    u, `leak` is l, the fraction of a family's parameters that other prompts' training overwrites:
    families' deviations from their mean shrink by 1 - l. `ddof` is that of `Mixture.fit`.

    Raises ValueError if a fraction is not between 0 and 1.
    """

    heritability: float = eqx.field(default=1.0, converter=float)
    spread_heritability: float | None = None
    uptake: float = eqx.field(default=1.0, converter=float)
    leak: float = eqx.field(default=0.0, converter=float)
    ddof: int = eqx.field(default=1, static=True)

    def __check_init__(self):
        require_fraction("heritability", self.heritability)
        if self.spread_heritability is not None:
            require_fraction("spread_heritability", self.spread_heritability)
        require_fraction("uptake", self.uptake)
        require_fraction("leak", self.leak)

    def learn(
        self, base: Mixture, values: ArrayLike | Float[Array, "n d"], families
    ) -> tuple[Mixture, Mixture]:
        """Return the conditional and the unconditional mixture after training on values [n, d].

        Raises ValueError if `base` has another number of families, and as `Mixture.fit` does.
        """
        data = Mixture.fit(values, families, self.ddof)
        if data.means.shape != base.means.shape:
            raise ValueError(
                f"values must have the {base.families} families and {base.dimension} traits of the "
                f"base, got {data.families} and {data.dimension}."
            )
        h = self.heritability
        spread_fraction = h if self.spread_heritability is None else self.spread_heritability
        if self.leak > 0:
            data = _leaked(data, self.leak)
        conditional = _between(base, data, h, spread_fraction)
        return conditional, _between(base, conditional, self.uptake, self.uptake)


@one_thread
@eqx.filter_jit
def _leaked(data: Mixture, leak: float) -> Mixture:
    C, d, r = data.axes.shape
    F = factors_of(data.spectra, data.axes)
    # The covariance of all families, as factors below those of each family.
    all_factors = (jnp.sqrt(data.weights)[:, None, None] * F).reshape(1, C * r, d)
    kept, rest = jnp.sqrt(1 - leak) * F, jnp.sqrt(leak) * all_factors
    means = (1 - leak) * data.means + leak * (data.weights @ data.means)
    factors = jnp.concatenate([kept, jnp.broadcast_to(rest, (C, C * r, d))], axis=1)
    return Mixture(data.weights, means, *of_factors(factors))


def _between(base: Mixture, trained: Mixture, fraction: float, spread_fraction: float) -> Mixture:
    """Return parameters a `fraction` of the way from base to trained, and covariances a
    `spread_fraction`."""
    if fraction == spread_fraction == 1:
        return trained
    if fraction == spread_fraction == 0:
        return base
    return _blend(base, trained, fraction, spread_fraction)


@one_thread
@eqx.filter_jit
def _blend(base: Mixture, trained: Mixture, fraction: float, spread_fraction: float) -> Mixture:
    weighted = ((1 - spread_fraction, base), (spread_fraction, trained))
    factors = [jnp.sqrt(x) * factors_of(m.spectra, m.axes) for x, m in weighted]
    return Mixture(
        (1 - fraction) * base.weights + fraction * trained.weights,
        (1 - fraction) * base.means + fraction * trained.means,
        *of_factors(jnp.concatenate(factors, axis=1)),
    )
