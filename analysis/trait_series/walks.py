"""Random walks, stasis and Ornstein-Uhlenbeck: moments, likelihoods and fits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize
from scipy.stats import norm

from analysis.trait_series.series import TraitSeries
from empirical.errors import UserError

MODELS = ("random walk", "directional walk", "stasis", "Ornstein-Uhlenbeck")
_POSITIVE = {"step_variance", "omega", "alpha"}


@dataclass(frozen=True)
class SeriesFit:
    """A model of a series at its maximum likelihood: estimates by name, AICc, Akaike's weight."""

    model: str
    values: dict[str, float]
    log_likelihood: float
    aicc: float
    weight: float


def moments(model: str, values: dict[str, float], s: TraitSeries) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean [T] and covariance [T, T] of the sample means under a model.

    With t since the first sample and the sampling variances E on the diagonal,

        random walk         a                             s2 min(t, t') + E
        directional walk    a + mu t                      s2 min(t, t') + E
        stasis              theta                         omega I + E
        Ornstein-Uhlenbeck  theta + (a - theta) e^(-k t)  s2/(2 k) [e^(-k|t-t'|) - e^(-k(t+t'))] + E

    a is the ancestor, s2 the variance of a step a generation, k is alpha (Hunt 2006; Hunt, Bell &
    Travis 2008).
    """
    t, E = s.time - s.time[0], np.diag(s.error)
    if model == "stasis":
        return np.full_like(t, values["theta"]), values["omega"] * np.eye(len(t)) + E
    if model == "Ornstein-Uhlenbeck":
        k, apart = values["alpha"], np.abs(t[:, None] - t)
        mean = values["theta"] + (values["ancestor"] - values["theta"]) * np.exp(-k * t)
        both = np.exp(-k * apart) - np.exp(-k * (t[:, None] + t))
        return mean, values["step_variance"] / (2 * k) * both + E
    walk = values["step_variance"] * np.minimum(t[:, None], t)
    return values["ancestor"] + values.get("step_mean", 0.0) * t, walk + E


def log_likelihood(model: str, values: dict[str, float], s: TraitSeries) -> float:
    """Log likelihood of all sample means jointly."""
    mean, covariance = moments(model, values, s)
    root = np.linalg.cholesky(covariance)
    x = solve_triangular(root, s.mean - mean, lower=True)
    return float(-0.5 * (x @ x + len(x) * np.log(2 * np.pi)) - np.log(np.diag(root)).sum())


def stepwise_log_likelihood(step_mean: float, step_variance: float, s: TraitSeries) -> float:
    """Log likelihood of a walk by its steps, sample to sample: N(mu dt, s2 dt + E + E').

    It takes steps for independent, and forgets that neighbours share a sample, whose error enters
    one with a plus and the other with a minus.
    """
    dt, E = np.diff(s.time), s.error
    spread = np.sqrt(step_variance * dt + E[1:] + E[:-1])
    return float(norm.logpdf(np.diff(s.mean), step_mean * dt, spread).sum())


def fit_series(s: TraitSeries, models: Sequence[str] = MODELS) -> list[SeriesFit]:
    """Fit models to a series by maximum joint likelihood; best AICc first.

    Raises `UserError` for an unknown model.
    """
    unknown = [model for model in models if model not in MODELS]
    if unknown:
        raise UserError(
            f"there is no model '{unknown[0]}' of series, there are {', '.join(MODELS)}"
        )
    span = s.time[-1] - s.time[0]
    scatter = max(float(np.var(s.mean)), 1e-3 * float(s.error.mean()))
    step, first, middle = scatter / span, float(s.mean[0]), float(s.mean.mean())
    slope = float(s.mean[-1] - s.mean[0]) / span
    begins: dict[str, list[dict[str, float]]] = {
        "random walk": [{"ancestor": first, "step_variance": step}],
        "directional walk": [{"ancestor": first, "step_mean": slope, "step_variance": step}],
        "stasis": [{"theta": middle, "omega": scatter}],
        "Ornstein-Uhlenbeck": [
            {"ancestor": first, "theta": at, "alpha": k / span, "step_variance": 2 * k * step}
            for k in (0.5, 3.0, 20.0)
            for at in (middle, float(s.mean[-1]))
        ],
    }
    ends = {}
    for model in models:
        ends[model] = max(
            (_climb(model, at, s, scatter) for at in begins[model]), key=lambda end: end[1]
        )
    T = len(s.time)

    def aicc(k: int, height: float) -> float:
        return -2 * height + 2 * k * T / (T - k - 1) if k + 1 < T else float("inf")

    criterion = {model: aicc(len(values), height) for model, (values, height) in ends.items()}
    weight = np.exp(-(np.array(list(criterion.values())) - min(criterion.values())) / 2)
    fits = [
        SeriesFit(model, values, height, criterion[model], float(share))
        for (model, (values, height)), share in zip(
            ends.items(), weight / weight.sum(), strict=True
        )
    ]
    return sorted(fits, key=lambda one: one.aicc)


def _climb(
    model: str, begin: dict[str, float], s: TraitSeries, scatter: float
) -> tuple[dict[str, float], float]:
    """Maximize from one start; what is positive on a log scale, the rest beside the scatter."""
    span, unit = s.time[-1] - s.time[0], np.sqrt(scatter)
    floor = {"step_variance": 1e-9 * scatter / span, "omega": 1e-9 * scatter, "alpha": 1e-4 / span}

    def to_real(k: str, v: float) -> float:
        return float(np.log(v)) if k in _POSITIVE else v / unit

    def values(x: np.ndarray) -> dict[str, float]:
        both = zip(begin, x, strict=True)
        return {k: float(np.exp(v)) if k in _POSITIVE else float(v * unit) for k, v in both}

    bounds = [
        (np.log(floor[k]), np.log(1e12 * floor[k])) if k in _POSITIVE else (None, None)
        for k in begin
    ]
    end = minimize(
        lambda x: -log_likelihood(model, values(x), s),
        [to_real(k, v) for k, v in begin.items()],
        method="L-BFGS-B",
        bounds=bounds,
        # A plateau, where a return is too slow to be seen, has no end worth walking to.
        options={"maxiter": 100},
    )
    return values(end.x), -float(end.fun)
