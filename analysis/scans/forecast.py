"""Forecasts of a chain at any scale, from one generation drawn at several scales."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.arms.design import Design, design
from analysis.arms.read import Arm
from analysis.inference.importance import draw_posterior
from analysis.inference.likelihood import PROCESS, all_parameters
from analysis.inference.maximum import Maximum, maximize
from analysis.models import every_model
from analysis.prediction.forecast import MODEL
from analysis.prediction.paths import DRAWS, simulate, trajectory_of
from analysis.prediction.trajectories import trajectories
from analysis.scans import means
from empirical.errors import UserError

# Residuals of a theory at two scales are alike within this distance in ln w.
_RANGE = 1.0
_LEAST = 0.05


@dataclass(frozen=True)
class ScanForecast:
    """Predicted generations of a chain at one scale.

    `paths` [S, G + 1, 3, D] are draws of mean, ln V_W and ln V_B (units of generation 0), measured
    up to generation `last`: 1 where the scale was scanned, else 0.
    """

    arm: Arm
    last: int
    paths: Float[np.ndarray, "S T 3 D"]
    fitted: Maximum

    def table(self) -> pd.DataFrame:
        """Return a row for each generation, component and quantity: see `trajectories`."""
        arm = self.arm
        return trajectories(arm.trait, arm.components, arm.centre, arm.unit, self.paths, self.last)


def forecast(
    arms: Sequence[Arm],
    guidance: float,
    generations: int = 6,
    model: str = MODEL,
    draws: int = DRAWS,
    seed: int = 0,
    fitted: Maximum | None = None,
) -> ScanForecast:
    """Forecast generations 1 to `generations` of a chain at a constant scale.

    `arms` are the scales of a scan, each of one generation. V_W and V_B: the model is fitted to
    them at its posterior mode, where priors determine what one generation does not; all scales
    together weigh as much as one arm (`together`). A scanned scale starts from its measured
    generation 1. Another starts from what the theory expects there, with the residuals at the
    scanned scales interpolated in ln w: they are a Gaussian process with the process variance of
    the model and a Matérn correlation (1 + r) e^-r, r = sqrt(3) |ln w - ln w'|, because all scales
    share the finetuned model. Means: see `analysis.scans.means`. The model may be already `fitted`
    to these arms.

    Raises `UserError` for an unknown model, fewer than one generation, or a scale that is not
    finite.
    """
    if generations < 1:
        raise UserError(f"a forecast needs 1 generation or more, got {generations}")
    if not np.isfinite(guidance):
        raise UserError(f"the guidance scale must be a finite number, got {guidance}")
    fitted = fitted or fit(arms, model)
    x = draw_posterior(fitted, together(arms), draws, seed).x
    chain = _chain(arms, guidance, generations)
    scanned = [arm.label for arm in arms]
    first = np.broadcast_to(chain.measured[None, None], (draws, 1, *chain.measured.shape)).copy()
    if guidance not in scanned:
        first[:, 0, 1] = _generation_1(fitted, x, arms, chain, seed)
    # Later generations are as long as the chain, and free.
    paths = simulate(fitted.model, x, _ahead(chain), np.array([1]), seed, first)[:, 0].copy()
    paths[:, :, 0] = means.forecast(arms, guidance, generations, draws, seed)
    return ScanForecast(chain, int(guidance in scanned), paths, fitted)


def fit(arms: Sequence[Arm], model: str = MODEL) -> Maximum:
    """Fit a model to the scales of a scan, at its posterior mode.

    Raises `UserError` for an unknown model.
    """
    known = every_model()
    if model not in known:
        raise UserError(f"there is no model '{model}', there are {', '.join(known)}")
    return maximize(known[model], together(arms), prior=1.0)


def together(arms: Sequence[Arm]) -> Design:
    """Return the design in which all scales of a scan count as much as one arm: they share a
    finetuned model and seeds, and with them what a theory misses."""
    return design(arms, np.full((len(arms), 1), 1 / len(arms)))


def _chain(arms: Sequence[Arm], guidance: float, generations: int) -> Arm:
    """Return the arm of the chain, as long as the forecast; beyond what is measured its numbers are
    those of the nearest scale."""
    nearest = min(arms, key=lambda arm: abs(_log(arm.label) - _log(guidance)))
    after = lambda x: np.concatenate([x[:2], np.repeat(x[1:2], generations - 1, axis=0)])
    scales = np.full((generations, nearest.scales.shape[1]), guidance, float)
    return replace(
        nearest,
        measured=after(nearest.measured),
        sampling=after(nearest.sampling),
        scales=scales,
        label=float(guidance),
    )


def _ahead(chain: Arm) -> Design:
    return design([chain], np.zeros((1, chain.generations)))


def _generation_1(
    fitted: Maximum, x: Float[np.ndarray, "S k"], arms: Sequence[Arm], chain: Arm, seed: int
) -> Float[np.ndarray, "S 3 D"]:
    """Draw generation 1 at a scale between or beyond those of the arms."""
    every = [*arms, chain.until(1)]
    free = np.zeros(len(every), int)
    expected = trajectory_of(fitted.model, x, design(every), free)[:, :, 1]
    measured = np.stack([arm.measured[1] for arm in arms])
    residuals = measured - expected[:, :-1]
    places = np.array([_log(arm.label) for arm in arms])
    weights, rest = _interpolation(places, _log(chain.label))
    names = [p.name for p in all_parameters(fitted.model, len(chain.unit))]
    tau = np.exp(x[:, [names.index(p.name) for p in PROCESS]])[:, :, None]
    noise = np.random.default_rng([seed, 0]).normal(size=expected[:, -1].shape)
    residual = np.einsum("k,skqd->sqd", weights, residuals)
    return expected[:, -1] + residual + tau * rest**0.5 * noise


def _interpolation(
    places: Float[np.ndarray, " K"], place: float
) -> tuple[Float[np.ndarray, " K"], float]:
    """Return the weights of known places in a Gaussian process of variance 1, and what variance is
    left."""

    def correlation(distance: np.ndarray) -> np.ndarray:
        r = np.sqrt(3) * np.abs(distance) / _RANGE
        return (1 + r) * np.exp(-r)

    among = correlation(places[:, None] - places) + 1e-9 * np.eye(len(places))
    to = correlation(places - place)
    weights = np.linalg.solve(among, to)
    return weights, float(max(1 - weights @ to, 0.0))


def _log(scale: float) -> float:
    return float(np.log(max(scale, _LEAST)))
