"""Prompt families: the variance within and between them."""

from typing import Any, NoReturn

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from qtm._core.numerics import real, require_finite, require_nonnegative
from qtm.states._evolving import Evolving


class Families(Evolving):
    """Prompt families: the mean over families, V_W within them and V_B between them.

    Every family has the variance `within` (V_W), the means of families have the variance `between`
    (V_B), both in feature units squared. Entries are separate populations, as in `Moments`; shapes
    broadcast. `FamilyCycle` is their life cycle.

    Raises ValueError if the mean is not finite, a variance negative, or shapes do not broadcast.
    """

    mean: Float[Array, "..."]
    within: Float[Array, "..."]
    between: Float[Array, "..."]

    def __init__(self, mean: ArrayLike, within: ArrayLike, between: ArrayLike):
        m, V_W, V_B = real(mean), real(within), real(between)
        require_finite("mean", m)
        require_nonnegative("within", V_W)
        require_nonnegative("between", V_B)
        try:
            self.mean, self.within, self.between = jnp.broadcast_arrays(m, V_W, V_B)
        except ValueError:
            raise ValueError(
                f"mean, within and between must have shapes that broadcast, got {m.shape}, "
                f"{V_W.shape} and {V_B.shape}."
            ) from None

    def after(self, part: Any, *draws: Any) -> NoReturn:
        raise ValueError(f"{type(part).__name__} has no form for Families.")

    def draws(self, key: PRNGKeyArray | None, size: int | None) -> NoReturn:
        raise ValueError("the life cycle of Families is FamilyCycle, got LifeCycle.")

    @property
    def variance(self) -> Float[Array, "..."]:
        """The variance of all images, V = V_W + V_B."""
        return real(self.within) + self.between

    @property
    def parts(self) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """V_W and V_B."""
        return self.within, self.between
