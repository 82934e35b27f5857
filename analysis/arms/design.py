"""Arms as arrays, with a mask of the transitions that a fit may see."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from analysis.arms.read import Arm
from analysis.models import Setting
from empirical.errors import UserError
from qtm import Families
from qtm._core.numerics import require_double


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Design:
    """Arms [R] of G generations as arrays, T = G + 1.

    `measured` and `sampling` [R, T, 3, D] as in `Arm`; `present` [R, T] is 1 where a
    generation exists (arms may differ in length), else 0; `settings` of every transition, with
    leading axes [R, G]; `seen` [R, G] is 1 for transitions that a fit may see,
    a fraction for those that count less.
    """

    measured: Float[Array, "R T 3 D"]
    sampling: Float[Array, "R T 3 D"]
    present: Float[Array, "R T"]
    settings: Setting
    seen: Float[Array, "R G"]

    @property
    def components(self) -> int:
        """D."""
        return self.measured.shape[3]

    @property
    def observations(self) -> int:
        """Number of measured quantities that a fit may see: mean, ln V_W and ln V_B."""
        return round(float(self.seen.sum()) * 3 * self.components)


def design(arms: Sequence[Arm], seen: Shaped[np.ndarray, "R G"] | None = None) -> Design:
    """Stack arms; `seen` [R, G] masks the transitions that a fit may see (all by default).

    Raises `UserError` for arms of different traits or numbers of components.
    """
    require_double()
    shapes = {(arm.trait, arm.measured.shape[2]) for arm in arms}
    if len(shapes) != 1:
        raise UserError(
            "arms that share parameters must have one trait with the same varying components, got "
            + ", ".join(f"'{trait}' with {count}" for trait, count in sorted(shapes))
        )
    G = max(arm.generations for arm in arms)
    length = lambda x: np.concatenate([x, np.repeat(x[-1:], G + 1 - len(x), axis=0)])
    measured = np.stack([length(arm.measured) for arm in arms])
    present = np.stack([np.arange(G + 1) <= arm.generations for arm in arms]).astype(float)
    mask = present[:, 1:] * (1.0 if seen is None else np.asarray(seen, float))
    per_step = lambda x: np.broadcast_to(x[:, None], (len(arms), G, *x.shape[1:]))
    first = measured[:, 0]
    of_arms = lambda name: np.asarray([getattr(arm, name) for arm in arms], float)
    scales = np.stack([length(arm.scales)[:G] for arm in arms])
    direction, trend = _trend(measured, mask, scales.mean(axis=(1, 2)))
    settings = Setting(
        base=Families(
            per_step(first[:, 0]), per_step(np.exp(first[:, 1])), per_step(np.exp(first[:, 2]))
        ),
        scales=jnp.asarray(scales),
        noise=jnp.asarray(per_step(of_arms("noise"))),
        scale=jnp.asarray(scales.mean(axis=2)),
        dropped=jnp.asarray(per_step(of_arms("dropped"))),
        real=jnp.asarray(per_step(of_arms("real"))),
        mutation=jnp.asarray(per_step(of_arms("mutation"))),
        family_size=jnp.asarray(per_step(of_arms("family_size"))),
        families=jnp.asarray(per_step(of_arms("families"))),
        stochastic=jnp.asarray(per_step(of_arms("stochastic"))),
        direction=jnp.asarray(np.broadcast_to(direction, (len(arms), G, len(direction)))),
        trend=jnp.asarray(per_step(trend)),
        link=jnp.asarray(per_step(np.zeros(len(arms)))),
    )
    sampling = np.stack([length(arm.sampling) for arm in arms])
    return Design(
        jnp.asarray(measured),
        jnp.asarray(sampling),
        jnp.asarray(present),
        settings,
        jnp.asarray(mask),
    )


def extended(arms: Sequence[Arm], generations: int, scale: float | None = None) -> Design:
    """Return the design of a forecast: every arm continued by `generations` generations.

    Future generations have no weight. The guidance stays as in the last generation, or at the
    constant `scale`.
    """
    longer = []
    for arm in arms:
        more = np.repeat(arm.measured[-1:], generations, axis=0)
        w = np.repeat(arm.scales[-1:], generations, axis=0)
        w = w if scale is None else np.full_like(w, scale)
        longer.append(
            replace(
                arm,
                measured=np.concatenate([arm.measured, more]),
                sampling=np.concatenate(
                    [arm.sampling, np.repeat(arm.sampling[-1:], generations, axis=0)]
                ),
                scales=np.concatenate([arm.scales, w]),
            )
        )
    G = max(arm.generations for arm in longer)
    seen = np.stack([np.arange(G) < arm.generations for arm in arms])
    return design(longer, seen)


def _trend(
    measured: Float[np.ndarray, "R T 3 D"],
    seen: Float[np.ndarray, "R G"],
    scale: Float[np.ndarray, " R"],
) -> tuple[Float[np.ndarray, " D"], Float[np.ndarray, "R 3 D"]]:
    """Return the direction of the means, [D] of +1 or -1, and the mean step of every arm [R, 3, D]
    over seen transitions, interpolated in ln w between seen CFG scales."""
    steps = np.diff(measured, axis=1)
    weight = seen[:, :, None, None]
    count = seen.sum(axis=1)
    total = (steps * weight).sum(axis=1)
    trend = total / np.maximum(count, 1)[:, None, None]
    shift = total[:, 0].sum(axis=0)
    known = count > 0
    if known.any() and not known.all():
        x = np.log(np.maximum(scale, 0.05))
        levels = np.unique(x[known])
        means = np.stack([trend[known & (x == level)].mean(axis=0) for level in levels])
        for i in np.flatnonzero(~known):
            for q in np.ndindex(trend.shape[1:]):
                trend[i][q] = np.interp(x[i], levels, means[(slice(None), *q)])
    return np.where(shift < 0, -1.0, 1.0), trend
