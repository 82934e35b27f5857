"""Fits of random walks, stasis and Ornstein-Uhlenbeck by maximum joint likelihood."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis._threads import one_thread
from analysis.trait_series.series import TraitSeries, variance_test
from analysis.trait_series.walk_search import CHUNKS, RETURN, Search
from analysis.trait_series.walks import MODELS
from empirical.errors import UserError
from qtm.progress import Progress, no_progress

_PARAMETERS = {"random walk": 2, "directional walk": 3, "stasis": 2, RETURN: 4}
_LEVEL = 0.05


@dataclass(frozen=True)
class SeriesFit:
    """A model of a series at its maximum likelihood: estimates by name, AICc, Akaike's weight.

    Where a series is too short for a model, its AICc is infinite and its weight 0. `at_bound`
    names parameters at an end of their range; `warnings` explain the consequences.
    """

    model: str
    values: dict[str, float]
    log_likelihood: float
    aicc: float
    weight: float
    at_bound: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def work(models: Sequence[str] = MODELS) -> int:
    """Return how often `fit_series` reports progress."""
    return sum(CHUNKS + 2 if model == RETURN else 1 for model in models)


@one_thread
def fit_series(
    s: TraitSeries,
    models: Sequence[str] = MODELS,
    *,
    pool: bool | None = None,
    progress: Progress = no_progress,
) -> list[SeriesFit]:
    """Fit models to a series by maximum joint likelihood; best AICc first.

    `pool` overrides whether the variances of the series are pooled. If they are, but differ by
    Bartlett's test, a warning is issued, as in paleoTS. `progress` is called `work(models)` times.

    Raises `UserError` for an unknown model, and for fewer samples than any of the models needs:
    AICc requires two samples more than a model has parameters.
    """
    models = [models] if isinstance(models, str) else list(dict.fromkeys(models))
    unknown = [model for model in models if model not in MODELS]
    if unknown or not models:
        named = f"'{unknown[0]}'" if unknown else "named"
        raise UserError(f"there is no model {named} of series, there are {', '.join(MODELS)}")
    s = s if pool is None else s.pooling(pool)
    T = len(s.time)
    needs = {model: _PARAMETERS[model] + 2 for model in models}
    if min(needs.values()) > T:
        raise UserError(
            f"the series has {T} samples, too few to compare models: "
            f"{', '.join(f'{model} needs {least}' for model, least in needs.items())}"
        )
    _warn_if_unequal(s)
    search = Search.from_series(s)
    peaks = {model: search.peak(model, progress) for model in models}

    def aicc(model: str) -> float:
        k = _PARAMETERS[model]
        if needs[model] > T:
            return float("inf")
        return -2 * peaks[model].height + 2 * k * T / (T - k - 1)

    criterion = {model: aicc(model) for model in models}
    weight = np.exp(-(np.array(list(criterion.values())) - min(criterion.values())) / 2)
    fits = []
    for model, model_weight in zip(models, weight / weight.sum(), strict=True):
        peak, messages = peaks[model], search.sentences(model, peaks[model])
        if needs[model] > T:
            messages.append(
                f"{model} has no AICc and no weight: it needs {needs[model]} samples or more, the "
                f"series has {T}"
            )
        at_bound = search.at_bound(model, peak)
        values, height = search.values(model, peak), float(peak.height)
        fit = SeriesFit(
            model, values, height, criterion[model], float(model_weight), at_bound, tuple(messages)
        )
        fits.append(fit)
    return sorted(fits, key=lambda fit: fit.aicc)


def _warn_if_unequal(s: TraitSeries) -> None:
    test = variance_test(s) if s.pool else None
    if test is not None and test.p_value <= _LEVEL:
        warnings.warn(
            f"the variances of the samples are not equal (Bartlett's test: p = "
            f"{test.p_value:.2g}) but are pooled; without pooling (--no-pool, pool=False) each "
            f"sample has its own",
            stacklevel=4,
        )
