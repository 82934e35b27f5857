"""Which theory predicts the last generation, and does any beat the forecast of no change?"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.one_chain import Fit, fit, transitions
from analysis.series import Series
from analysis.theories import Theory, every_theory

NAIVE = "no change"


@dataclass(frozen=True)
class Prediction:
    """A theory's forecast of the held-out last generation from the one before it.

    `score` is the log predictive density of what was measured, a number for each observation
    (higher is better); `mean_error` the root mean square error of the family means, in sd of
    generation 0; `within_error` and `between_error` the root mean square error of ln V_W and
    ln V_B.
    """

    fit: Fit
    score: float
    mean_error: float
    within_error: float
    between_error: float


@dataclass(frozen=True)
class Comparison:
    """All theories on one trait of one run: fitted without the last generation, they predict it."""

    series: Series
    predictions: tuple[Prediction, ...]

    def of(self, theory: str) -> Prediction:
        """Return the prediction of a theory by its name."""
        return next(p for p in self.predictions if p.fit.theory.name == theory)

    @property
    def best(self) -> Prediction:
        """The theory, the naive forecast apart, with the highest held-out score."""
        theories = [p for p in self.predictions if p.fit.theory.name != NAIVE]
        return max(theories, key=lambda p: p.score)

    @property
    def beats_no_change(self) -> bool:
        """Whether the best theory scores higher than the forecast of no change."""
        return self.best.score > self.of(NAIVE).score

    def table(self) -> pd.DataFrame:
        """Return one row for each theory: parameters, AICc, held-out score and errors, warnings."""
        rows = []
        for p in self.predictions:
            values = p.fit.values.items()
            rows.append(
                {
                    "run": self.series.run,
                    "trait": self.series.trait,
                    "theory": p.fit.theory.name,
                    "parameters": ", ".join(_value(k, v, p.fit.errors[k]) for k, v in values),
                    "log_likelihood": p.fit.log_likelihood,
                    "aicc": p.fit.aicc,
                    "score": p.score,
                    "mean_error": p.mean_error,
                    "within_error": p.within_error,
                    "between_error": p.between_error,
                    "best": p is self.best and self.beats_no_change,
                    "warnings": "; ".join(p.fit.warnings),
                }
            )
        return pd.DataFrame(rows)


def compare(series: Series, theories: Iterable[Theory] | None = None) -> Comparison:
    """Fit theories to all generations but the last, and score their forecasts of the last.

    With a single transition nothing can be held out: ValueError.
    """
    if series.generations < 2:
        raise ValueError(f"a comparison needs 2 generations or more, got {series.generations}.")
    chosen = list(every_theory().values()) if theories is None else list(theories)
    if NAIVE not in {theory.name for theory in chosen}:
        chosen.append(every_theory()[NAIVE])
    last = series.generations - 1

    def forecast(theory: Theory) -> Prediction:
        return predict(fit(theory, series, generations=last))

    # Most of the time goes into compiling, which threads do side by side.
    with ThreadPoolExecutor() as pool:
        predictions = list(pool.map(forecast, chosen))
    return Comparison(series, tuple(sorted(predictions, key=lambda p: -p.score)))


def predict(fitted: Fit) -> Prediction:
    """Forecast the generation after the fitted ones from the last of them, and score it."""
    series, t = fitted.series, fitted.transitions
    if t >= series.generations:
        raise ValueError(f"the fit saw all {series.generations} generations: none is held out.")
    expected = transitions(fitted)
    means, within = np.asarray(expected.means)[t], np.asarray(expected.within)[t]
    if fitted.theory.name == NAIVE:
        # What was measured is the forecast as it stands, sampling error and all.
        between = series.between[t]
    else:
        drift = within * np.mean(1 / series.sizes) / fitted.values["effective_share"]
        between = means.var(axis=0, ddof=1) + drift
    _, families, components = series.means.shape
    return Prediction(
        fitted,
        float(np.asarray(expected.log_density)[t]) / (components * (families + 1)),
        _rms(means - series.means[t + 1]),
        _rms(np.log(within / series.within[t + 1])),
        _rms(np.log(between / series.between[t + 1])),
    )


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def _value(name: str, value: float, error: float) -> str:
    return f"{name} {value:.3g} ± {error:.2g}"
