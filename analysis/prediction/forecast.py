"""Forecasts of a chain: its path, its half-lives, and the settings that would stabilize it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jaxtyping import Float, Real

from analysis.arms.design import Design, design, extended
from analysis.arms.read import Arm
from analysis.inference.importance import draw_posterior
from analysis.inference.likelihood import all_parameters, expected, linked, values_of
from analysis.inference.maximum import Maximum, maximize
from analysis.models import Model, every_model
from analysis.prediction.paths import DRAWS, simulate
from analysis.prediction.trajectories import LEVELS, trajectories
from empirical.errors import UserError

MODEL = "bounded family, saturating"
_SCALES = np.geomspace(0.5, 20.0, 80)
_REAL = np.linspace(0, 1, 21)


@dataclass(frozen=True)
class Forecast:
    """A model's predictions of future generations.

    `paths` [S, G + 1, 3, D] are draws of mean, ln V_W and ln V_B (units of generation 0), measured
    up to generation `last`. `neutral` [S] is the CFG scale at which V_B would neither grow nor fall
    after generation 0, infinite where there is none up to 20. `real` [S] is the fraction of real
    images in every training set that keeps V_W and V_B, averaged over components, above half of
    generation 0 to the end; infinite where none does.
    """

    fitted: Maximum
    arm: Arm
    last: int
    paths: Float[np.ndarray, "S T 3 D"]
    neutral: Float[np.ndarray, " S"]
    real: Float[np.ndarray, " S"]

    def table(self) -> pd.DataFrame:
        """Return a row for each generation, component and quantity: see `trajectories`."""
        arm = self.arm
        return trajectories(arm.trait, arm.components, arm.centre, arm.unit, self.paths, self.last)

    def half_lives(self) -> dict[str, tuple[float, float, float]]:
        """Return low, median, high of the generation at which V_W, V_B and their sum (averaged over
        components) are first below half of generation 0; infinite where not within the forecast."""
        return half_lives(self.paths)


def half_lives(paths: Float[np.ndarray, "S T 3 D"]) -> dict[str, tuple[float, float, float]]:
    """Return low, median, high of the generation at which V_W, V_B and their sum (averaged over
    components) are first below half of generation 0; infinite where not within the forecast."""
    V_W, V_B = np.exp(paths[:, :, 1]), np.exp(paths[:, :, 2])
    intervals = {}
    for name, V in (("within", V_W), ("between", V_B), ("total", V_W + V_B)):
        ratio = (V / V[:, :1]).mean(axis=2)
        below = ratio < 0.5
        first = np.where(below.any(axis=1), below.argmax(axis=1).astype(float), np.inf)
        intervals[name] = quantiles(first)
    return intervals


def quantiles(values: Real[np.ndarray, "..."]) -> tuple[float, float, float]:
    """Return the 5 %, 50 % and 95 % quantiles of values that may be infinite."""
    low, median, high = np.quantile(values, LEVELS, method="inverted_cdf")
    return float(low), float(median), float(high)


def forecast(
    arms: Sequence[Arm],
    generations: int = 10,
    guidance: float | None = None,
    model: str = MODEL,
    draws: int = DRAWS,
    fitted: Maximum | None = None,
) -> Forecast:
    """Forecast the first of the arms by `generations` generations from its last one on.

    The model is fitted to all arms at its posterior mode, where the priors determine what few
    generations do not; or it is already `fitted` to these arms, in any order. `guidance` is the CFG
    scale from then on, that of the last generation by default.

    Raises `UserError` for an unknown model, fewer than one generation, or a scale that is not
    finite.
    """
    known = every_model()
    if model not in known:
        raise UserError(f"there is no model '{model}', there are {', '.join(known)}")
    if generations < 1:
        raise UserError(f"a forecast needs 1 generation or more, got {generations}")
    if guidance is not None and not np.isfinite(guidance):
        raise UserError(f"the guidance scale must be a finite number, got {guidance}")
    fitted = fitted or maximize(known[model], design(arms), prior=1.0)
    x = draw_posterior(fitted, design(arms), draws).x
    arm = arms[0]
    ahead = extended(arms[:1], generations, guidance)
    start = np.array([arm.generations])
    paths = simulate(fitted.model, x, ahead, start)[:, 0]
    return Forecast(
        fitted,
        arm,
        arm.generations,
        paths,
        _neutral(fitted.model, x, design(arms[:1])),
        _holding(fitted.model, x, arm, generations, guidance),
    )


def _neutral(model: Model, x: np.ndarray, stacked: Design) -> np.ndarray:
    """Return the scale at which the first generation preserves V_B, averaged over components."""
    growth = np.asarray(
        _growth(model.general)(jnp.asarray(x), linked(model, stacked), jnp.asarray(_SCALES))
    )
    grows = growth > 0
    first = grows.argmax(axis=1)
    scales = np.full(len(x), np.inf)
    for s in np.flatnonzero(grows.any(axis=1)):
        i = first[s]
        if i == 0:
            scales[s] = _SCALES[0]
            continue
        before, after = growth[s, i - 1], growth[s, i]
        fraction = -before / (after - before)
        scales[s] = _SCALES[i - 1] ** (1 - fraction) * _SCALES[i] ** fraction
    return scales


@cache
def _growth(model: Model):
    def growth(x, stacked: Design, scales):
        values = values_of(all_parameters(model, stacked.components), x)
        setting = jax.tree.map(lambda leaf: leaf[0, 0], stacked.settings)
        # Guidance alone, without remedies.
        plain = replace(setting, dropped=0.0, real=0.0, mutation=0 * setting.mutation)
        first = stacked.measured[0, 0]

        def change(w):
            guided = replace(plain, scales=jnp.full_like(setting.scales, w), scale=w)
            return jnp.mean(expected(model, values, first, guided)[2] - first[2])

        return jax.vmap(change)(scales)

    return jax.jit(jax.vmap(growth, in_axes=(0, None, None)))


def _holding(
    model: Model, x: np.ndarray, arm: Arm, generations: int, guidance: float | None
) -> np.ndarray:
    """Return the smallest fraction of real images in `_REAL` that keeps V_W and V_B above half."""
    smallest = np.full(len(x), np.inf)
    for fraction in _REAL[::-1]:
        mixed = replace(arm, real=float(fraction))
        ahead = extended([mixed], generations, guidance)
        paths = simulate(model, x, ahead, np.array([arm.generations]))[:, 0, arm.generations + 1 :]
        ratio = np.exp(paths[:, :, 1:] - arm.measured[0, 1:]).mean(axis=3)
        smallest = np.where((ratio > 0.5).all(axis=(1, 2)), fraction, smallest)
    return smallest
