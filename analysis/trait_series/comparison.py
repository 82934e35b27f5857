"""Compare all models of a trait series: walks of the mean, and life cycles.

    result = compare(series)
    result.comparison()     # best model first

Walks (random, directional, stasis, Ornstein-Uhlenbeck) describe the means alone. To compare them
with life cycles, which explain means and variances, each walk gets a constant trait variance: one
more parameter, and the likelihood of the sample variances.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
from scipy.stats import f as variance_ratio
from scipy.stats import norm

from analysis._arviz import arviz
from analysis.trait_series.cycle_fit import LEVEL, CycleFit, fit_cycles, predict
from analysis.trait_series.cycle_likelihood import generations_of, log_chi2_density
from analysis.trait_series.cycles import cycle_models
from analysis.trait_series.series import TraitSeries
from analysis.trait_series.walk_fit import SeriesFit, fit_series, work
from analysis.trait_series.walk_intervals import walk_intervals
from analysis.trait_series.walks import MODELS, moments
from empirical.errors import UserError
from qtm.progress import Progress, no_progress

_TAILS = (1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2
WALK_PARAMETERS = {
    "ancestor": "mean at the first time, trait units",
    "step_mean": "mean step, trait units per unit of time",
    "step_variance": "variance of steps, trait units squared per unit of time",
    "theta": "mean to which the trait returns, trait units",
    "omega": "variance of means around theta, trait units squared",
    "alpha": "rate of return, per unit of time",
}
# Half of a series must hold enough samples to be fitted.
_LEAST_SEEN = 3


@dataclass(frozen=True)
class SeriesResult:
    """Walks and life cycles fitted to a series, and their predictions of its second half.

    `predictions` has a row for each sample's mean and variance (`prediction_table`), by a fit to
    the whole series or, where `kind` is "held out", to its first half; `left_out` says why life
    cycles are missing, if they are.
    """

    series: TraitSeries
    walks: dict[str, SeriesFit]
    cycles: dict[str, CycleFit]
    predictions: pd.DataFrame
    left_out: str = ""

    @property
    def best(self) -> str:
        """The name of the model with the lowest AICc."""
        return str(self.comparison()["model"].iloc[0])

    @property
    def best_cycle(self) -> str | None:
        """The name of the life cycle with the lowest AICc, None without life cycles."""
        return next((str(m) for m in self.comparison()["model"] if m in self.cycles), None)

    def sentences(self) -> list[str]:
        """Return caveats about the numbers."""
        messages = [sentence for walk in self.walks.values() for sentence in walk.warnings]
        for name, fit in self.cycles.items():
            messages += [f"{name}: {sentence}" for sentence in fit.warnings]
            n, k = fit.data.observations, len(fit.parameters)
            if n <= k + 1:
                messages.append(
                    f"{name} has no AICc and no weight: {k} parameters need {k + 2} means and "
                    f"variances or more, the series has {n}"
                )
        if self.best_cycle is not None and not self.cycles[self.best_cycle].draws.trusted:
            messages.append(f"{self.best_cycle}: intervals are rough (k-hat above 0.7)")
        if self.left_out:
            messages.append(f"no life cycle was fitted: {self.left_out}")
        return messages

    def comparison(self) -> pd.DataFrame:
        """Return a row a model, lowest AICc first.

        Columns: model, kind (walk, life cycle), log_likelihood and aicc of means and variances
        together, parameters (their number), weight (Akaike's); log_likelihood_means and aicc_means
        of walks, on the means alone, as paleoTS gives them; log_score, mean_error, variance_error
        and coverage of the second half of the series, predicted from the first (errors of the mean
        in standard deviations of the trait, of the variance on the log scale); warnings.
        """
        rows = []
        count = int(len(self.series.time) + (~self.series.lone).sum())
        for name, walk in self.walks.items():
            k = len(walk.values) + 1
            total = walk.log_likelihood + _log_density_of_variances(self.series)
            rows.append(
                {
                    "model": name, "kind": "walk", "log_likelihood": total, "parameters": k,
                    "aicc": _aicc(total, k, count),
                    "log_likelihood_means": walk.log_likelihood, "aicc_means": walk.aicc,
                    "warnings": "; ".join(walk.warnings),
                }
            )  # fmt: skip
        for name, cycle in self.cycles.items():
            k = len(cycle.parameters)
            rows.append(
                {
                    "model": name, "kind": "life cycle", "log_likelihood": cycle.log_likelihood,
                    "parameters": k, "aicc": _aicc(cycle.log_likelihood, k, count),
                    "log_likelihood_means": np.nan, "aicc_means": np.nan,
                    "warnings": "; ".join(cycle.warnings),
                }
            )  # fmt: skip
        table = pd.DataFrame(rows)
        finite = np.isfinite(table["aicc"])
        # If no model has an AICc, weights are 0/0: missing.
        weight = np.exp(-(table["aicc"] - table["aicc"].min()) / 2).where(finite, 0.0)
        table.insert(5, "weight", weight / weight.sum())
        if len(self.predictions):
            held_out = self.predictions[self.predictions["kind"] == "held out"]
            scores = held_out.groupby("model", sort=False).apply(_score)
            if len(scores):
                table = table.join(scores, on="model")
        table["warnings"] = table.pop("warnings")
        return table.sort_values("aicc", kind="stable").reset_index(drop=True)

    def parameters(self, models: Sequence[str] | None = None) -> pd.DataFrame:
        """Return model, parameter, estimate, low, high, at_bound, meaning, k_hat: a row a parameter
        of all models, or of those named.

        Estimates are those of maximum likelihood. Low and high enclose 90 %: of the posterior for
        life cycles, nan where the data are less informative than the prior, rough where `k_hat` is
        above 0.7; by the curvature of the likelihood for walks, nan for parameters at a bound.
        """
        rows = []
        selected = (*self.walks, *self.cycles) if models is None else models
        for name, walk in self.walks.items():
            if name not in selected:
                continue
            bounds = walk_intervals(walk, self.series)
            rows += [
                (name, parameter, value, *bounds.get(parameter, (np.nan, np.nan)),
                 parameter in walk.at_bound, WALK_PARAMETERS[parameter], np.nan)
                for parameter, value in walk.values.items()
            ]  # fmt: skip
        for name, cycle in self.cycles.items():
            if name not in selected:
                continue
            intervals = cycle.draws.interval()
            rows += [
                (name, p.name, cycle.values[p.name], *intervals[p.name], bool(cycle.at_bound[i]),
                 p.meaning, cycle.draws.k_hat)
                for i, p in cycle.indexed_parameters()
            ]  # fmt: skip
        columns = ["model", "parameter", "estimate", "low", "high", "at_bound", "meaning", "k_hat"]
        return pd.DataFrame(rows, columns=columns)

    def posterior(self, model: str = "") -> Any:
        """Return draws from the posterior of a life cycle, the best by default, as an
        `arviz.InferenceData`.

        Groups: `posterior` with parameters in their units, `log_likelihood` of each measured mean
        and variance, `observed_data`; attributes: model, k_hat and effective draws of the
        importance sampling. Raises `UserError` unless the model is a fitted life cycle.
        """
        name = model or self.best_cycle or "none"
        if name not in self.cycles:
            raise UserError(
                f"there is no posterior of '{name}', there are those of "
                f"{', '.join(self.cycles) or 'no life cycle'}"
            )
        fit = self.cycles[name]
        x = fit.draws.x
        sampled = np.flatnonzero(np.asarray(fit.data.measured)[:, 0])
        density = fit.explain(x, sampled).density
        return arviz().from_dict(
            posterior={
                p.name: np.asarray(p.from_real(x[:, i]))[None] for i, p in fit.indexed_parameters()
            },
            log_likelihood={"y": density[None]},
            observed_data={"y": np.stack([self.series.mean, self.series.variance], axis=-1)},
            dims={"y": ["generation", "quantity"]},
            coords={"generation": self.series.time, "quantity": ["mean", "variance"]},
            attrs={"model": name, "k_hat": fit.draws.k_hat, "effective": fit.draws.effective},
        )


def compare(
    s: TraitSeries,
    models: Sequence[str] | None = None,
    population_size: float | None = np.inf,
    predicted: bool = True,
    progress: Progress = no_progress,
) -> SeriesResult:
    """Fit walks and life cycles to a series and score predictions of its second half.

    `models` are names of walks and life cycles, all by default; `population_size` as in
    `fit_cycles`; `predicted` says whether to make predictions. Life cycles need times in whole
    generations; otherwise they are left out unless `models` names them. `progress` is called with
    1, `steps(len(s.time), models, predicted)` times in total, fewer where life cycles are left out.

    Raises `UserError` for unknown models, and for named life cycles that cannot be fitted.
    """
    known = (*MODELS, *cycle_models())
    for name in models or ():
        if name not in known:
            raise UserError(f"there is no model '{name}' of series, there are {', '.join(known)}")
    walks = [name for name in MODELS if models is None or name in models]
    forms = [name for name in cycle_models() if models is None or name in models]
    left_out = ""
    try:
        generations_of(s)
    except UserError as error:
        if models is not None and forms:
            raise
        forms, left_out = [], str(error)
    half = _half(len(s.time))
    fitted_walks, tables = {}, []
    if walks:
        by_model = {fit.model: fit for fit in fit_series(s, walks, progress=progress)}
        fitted_walks = {name: by_model[name] for name in walks}
    cycles = fit_cycles(s, forms, population_size, progress=progress)
    if predicted and half >= _LEAST_SEEN:
        tables += _predicted_by_walks(walks, s, half)
        early = fit_cycles(s, forms, population_size, half, progress=progress)
        for name, fit in early.items():
            tables.append(prediction_table(name, s, fit, "held out", half))
            progress(1)
    if predicted:
        for name, fit in cycles.items():
            tables.append(prediction_table(name, s, fit, "fitted", 0))
            progress(1)
    predictions = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return SeriesResult(s, fitted_walks, cycles, predictions, left_out)


def steps(samples: int, models: Sequence[str] | None = None, predicted: bool = True) -> int:
    """Return how often `compare` reports progress for a series of `samples` samples."""
    walks = [name for name in MODELS if models is None or name in models]
    forms = sum(models is None or name in models for name in cycle_models())
    # A fit and draws, then both again for the first half.
    parts = 1 + predicted * (1 + 2 * (_half(samples) >= _LEAST_SEEN))
    return work(walks) + parts * forms


def _half(samples: int) -> int:
    return (samples + 1) // 2


_COLUMNS = (
    "model", "kind", "generation", "quantity", "n", "measured", "predicted", "low", "high",
    "log_density",
)  # fmt: skip


def prediction_table(
    name: str, s: TraitSeries, fit: CycleFit, kind: str, begin: int
) -> pd.DataFrame:
    """Return a life cycle's predictions of samples from `begin` on: one row per mean or variance.

    Columns: model, kind, generation (as in the series), quantity (mean, variance), n, measured,
    predicted (median), low, high (90 % of samples of n), log_density (of the mean, or of ln s^2).
    """
    predicted = predict(fit)
    samples = {
        "mean": predicted.sample_mean[:, begin:],
        "variance": predicted.sample_variance[:, begin:],
    }
    density = dict(zip(samples, predicted.log_density[begin:].T, strict=True))
    return _rows(name, kind, s, begin, {
        q: (*np.quantile(x, _TAILS, axis=0), density[q]) for q, x in samples.items()
    })  # fmt: skip


def _rows(
    name: str, kind: str, s: TraitSeries, begin: int, summaries: dict[str, tuple[np.ndarray, ...]]
) -> pd.DataFrame:
    varies = ~s.lone
    rows = []
    for quantity, (low, median, high, density) in summaries.items():
        for i, j in enumerate(range(begin, len(s.time))):
            if quantity == "variance" and not varies[j]:
                continue
            measured = getattr(s, quantity)[j]
            rows.append(
                (name, kind, s.time[j], quantity, s.n[j], measured, median[i], low[i], high[i],
                 density[i])
            )  # fmt: skip
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _predicted_by_walks(names: Sequence[str], s: TraitSeries, half: int) -> list[pd.DataFrame]:
    """Return predictions of the second half by walks fitted to the first, if it is long enough."""
    head = s.first(half)
    tables = []
    for name in names:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # reported for the whole series
                (fitted,) = fit_series(head, [name])
        except UserError:
            continue
        tables.append(_predicted_by_walk(fitted, s, head))
    return tables


def _predicted_by_walk(fitted: SeriesFit, s: TraitSeries, head: TraitSeries) -> pd.DataFrame:
    """Return a walk's predictions of later samples given the first, fitted to these."""
    name, half, pooled = fitted.model, len(head.time), head.pooled_variance
    freedom = (head.n - 1).sum()
    # Sampling errors must not use the variances to be predicted.
    known = replace(s, variance=np.where(np.arange(len(s.time)) < half, s.variance, pooled))
    mean, P = moments(name, fitted.values, known)
    gain = np.linalg.solve(P[:half, :half], P[:half, half:]).T
    centre = mean[half:] + gain @ (s.mean[:half] - mean[:half])
    spread = np.sqrt(np.diag(P[half:, half:] - gain @ P[:half, half:]))
    ends = [centre + spread * norm.ppf(tail) for tail in _TAILS]
    of_mean = (*ends, norm.logpdf(s.mean[half:], centre, spread))
    # The ratio of a sample variance to the pooled one of the first half has an F distribution.
    ratio = variance_ratio(np.maximum(s.n[half:] - 1, 1), freedom)
    x = np.where(~s.lone[half:], s.variance[half:], pooled) / pooled
    of_variance = (*(pooled * ratio.ppf(tail) for tail in _TAILS), ratio.logpdf(x) + np.log(x))
    return _rows(name, "held out", s, half, {"mean": of_mean, "variance": of_variance})


def _score(table: pd.DataFrame) -> pd.Series:
    measured, predicted, low, high = (
        table[c].to_numpy(float) for c in ("measured", "predicted", "low", "high")
    )
    variance = table["quantity"].to_numpy() == "variance"
    inside = (low <= measured) & (measured <= high)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of empty slices
        error = np.abs(predicted - measured)
        error[variance] = np.abs(np.log(predicted[variance] / measured[variance]))
        sd = np.sqrt(measured[variance].mean())
        return pd.Series(
            {
                "log_score": table["log_density"].mean(),
                "mean_error": error[~variance].mean() / sd,
                "variance_error": error[variance].mean(),
                "coverage": inside.mean(),
            }
        )


def _log_density_of_variances(s: TraitSeries) -> float:
    """Return the log density of all ln s^2 under one variance, the pooled one."""
    varies = ~s.lone
    k, variance = s.n[varies] - 1, s.variance[varies]
    pooled = (k * variance).sum() / k.sum()
    return float(log_chi2_density(jnp.log(variance / pooled), jnp.asarray(k)).sum())


def _aicc(log_likelihood: float, k: int, n: int) -> float:
    return -2 * log_likelihood + 2 * k * n / (n - k - 1) if n > k + 1 else float("inf")
