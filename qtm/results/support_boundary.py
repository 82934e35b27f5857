"""Strong guidance drives images to the boundary of the support, away from the other class.

Two classes are uniform on [0.5, 1.5] and [-1.5, -0.5]; the unconditional distribution is both. The
guided flow with exact scores, started from the quantiles of its noise, moves images of the first
class outwards: the greater the scale, the more of them end in the outer fifth of the support, which
holds a fifth of the class. With exact scores they stay at its edge. Each interval is a mixture of
41 narrow Gaussians, whose tails (five standard deviations) blur the edge by 0.1. Of the source the
sign and the shape are shown.

    >>> from qtm import results
    >>> z = results.result("support_boundary").guided(scale=10.0)
    >>> bool((z > 1.3).mean() > 0.5)
    True
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import ndtri
from jaxtyping import Array, Float

from qtm import mixture
from qtm.results._result import Check, Panel, Reproduction, Series, curve

SOURCE = "Chidambaram, Gatmiry, Chen, Lee & Lu, arXiv 2409.13074"

_NEAR, _FAR, _WIDTH, _PARTS = 0.5, 1.5, 0.02, 41
_IMAGES, _LEVELS = 400, mixture.NoiseLevels.exploding(0.01, 20.0, 200)
_SCALES = (1.0, 2.0, 4.0, 10.0, 30.0)
_OUTER = _FAR - (_FAR - _NEAR) / 5


def guided(scale: float) -> Float[np.ndarray, " n"]:
    """Return the end of the guided flow of the class on the right, from even quantiles of noise."""
    right = np.linspace(_NEAR, _FAR, _PARTS)
    conditional, unconditional = (_uniform(x) for x in (right, np.append(-right, right)))
    noise = ndtri((jnp.arange(_IMAGES) + 0.5) / _IMAGES)[:, None]
    return np.asarray(_flow(conditional, unconditional, noise, jnp.asarray(scale)))[:, 0]


def compute() -> Reproduction:
    """Follow the flow at several scales."""
    ends = {scale: guided(scale) for scale in _SCALES}
    outer = [float(np.mean(z > _OUTER)) for z in ends.values()]
    furthest = float(ends[_SCALES[-1]].max())
    return Reproduction(
        (
            Check("in the outer fifth, w = 1", outer[0], 0.2, accuracy=0.03),
            Check("the same, w = 4", outer[2], above=0.4),
            Check("the same, w = 30", outer[-1], above=0.9),
            Check("furthest trait, w = 30", furthest, above=_FAR, below=_FAR + 5 * _WIDTH),
        ),
        Panel(
            "edge of the support",
            "guidance scale w",
            "in the outer fifth",
            (Series("", None, curve(_SCALES, outer)),),
            logarithmic="x",
            level=0.2,
        ),
    )


def _uniform(centres: np.ndarray) -> mixture.Mixture:
    count = len(centres)
    covariances = np.full((count, 1, 1), _WIDTH**2)
    return mixture.Mixture.of(np.ones(count), centres[:, None], covariances)


@eqx.filter_jit
def _flow(
    conditional: mixture.Mixture, unconditional: mixture.Mixture, noise: Array, scale: Array
) -> Array:
    """Sample by DDIM, from `noise` [n, 1]; the conditional is a mixture of several components."""

    def step(y: Array, levels: tuple[Array, Array]) -> tuple[Array, None]:
        s, s_next = levels
        D_u = unconditional.denoise(y, s)
        D = D_u + scale * (conditional.denoise(y, s) - D_u)
        return D + s_next / s * (y - D), None

    s = _LEVELS.levels
    return lax.scan(step, _LEVELS.start * noise, (s[:-1], s[1:]))[0]
