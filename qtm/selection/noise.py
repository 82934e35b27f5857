"""Guidance scales that change while an image is made."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from qtm._core.numerics import Law, real, require_nonnegative


class ByNoise(eqx.Module):
    """A guidance scale that depends on the noise level: `Guidance(scale=ByNoise(...), ...)`.

    `scale` is a function w(sigma) of the noise level, the standard deviation of the noise that is
    still in an image (feature units): sampling goes from sigma = inf to 0. It is called with arrays
    of any shape. A plain function passes through `jit` as a constant; an `equinox.Module` with
    `__call__` is a pytree, so that its contents can be fitted.

    `breaks` are the noise levels at which w jumps. Integrals over the noise are split there, so a
    guidance interval is as accurate as a smooth schedule.

        >>> import jax.numpy as jnp
        >>> import qtm
        >>> decay = qtm.ByNoise(lambda sigma: 1 + 6.5 * sigma / (1 + sigma))
        >>> interval = qtm.ByNoise(lambda sigma: jnp.where((sigma > 0.2) & (sigma < 2), 7.5, 1.0),
        ...                        breaks=[0.2, 2.0])
        >>> interval.breaks.tolist()
        [0.2, 2.0]

    A function alone, without ByNoise, is a function of the generation, as for every parameter.

    Raises ValueError if `scale` is not a function or a break is negative.

    Source: Kynkäänniemi et al., arXiv 2404.07724, on intervals.
    """

    scale: Law
    breaks: Float[Array, "K"]

    def __init__(
        self,
        scale: Callable[[Float[Array, "..."]], ArrayLike],
        breaks: ArrayLike | Sequence[float] = (),
    ):
        self.scale = Law(scale)
        self.breaks = real(jnp.asarray(breaks)).reshape(-1)
        require_nonnegative("breaks", self.breaks)

    def at(self, sigma: ArrayLike) -> Float[Array, "..."]:
        """Return the guidance scale w at noise level sigma."""
        return real(self.scale.value(real(sigma)))
