"""Fit every model to an experiment, and compare them and their held-out predictions.

result = fit(runs)
result.comparison()     # best model first
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
import pandas as pd

from analysis.arms.design import Design, design
from analysis.arms.read import Arm
from analysis.arms.read import arms as read_arms
from analysis.comparison.contest import contest
from analysis.inference.importance import Draws, draw_posterior
from analysis.inference.maximum import Maximum, maximize
from analysis.models import Model, every_model
from analysis.prediction.holdout import HOLDOUTS, possible_splits, predictions, score
from empirical.errors import UserError
from empirical.runs.record import Run
from qtm.progress import Progress, no_progress

T = TypeVar("T")
# The forecasts that every theory has to beat.
NAIVE = ("no change", "linear extrapolation")


@dataclass(frozen=True)
class Result:
    """Models fitted to arms by maximum likelihood, and their held-out predictions.

    `held_out` has a row for each predicted quantity (see `analysis.prediction.holdout.predictions`)
    with the kind of holdout in `kind`; `left_out` names the runs that no model describes, and why.
    """

    arms: tuple[Arm, ...]
    left_out: tuple[str, ...]
    maxima: dict[str, Maximum]
    held_out: pd.DataFrame
    _posteriors: dict[str, Draws] = field(default_factory=dict, repr=False, compare=False)

    @property
    def best(self) -> str:
        """The name of the best model: the first of `comparison`."""
        return str(self.comparison()["model"].iloc[0])

    @property
    def best_theory(self) -> str:
        """The name of the best model that is a theory and not a naive forecast."""
        return next(str(m) for m in self.comparison()["model"] if m not in NAIVE)

    def comparison(self) -> pd.DataFrame:
        """Return a row a model, best first: by the mean held-out log score, or else by AICc.

        Columns: model, log_likelihood, parameters (their number), aicc, weight (Akaike's), and for
        each kind of holdout log_score, within_error, between_error, mean_error and coverage;
        `verdict` is "best", "tie" (the difference to the best is below two standard errors) or "";
        `warnings` holds caveats about the numbers.
        """
        return self._comparison.copy()

    @cached_property
    def _comparison(self) -> pd.DataFrame:
        rows = []
        for name, fitted in self.maxima.items():
            row: dict[str, object] = {
                "model": name,
                "log_likelihood": fitted.log_likelihood,
                "parameters": fitted.count,
                "aicc": fitted.aicc,
            }
            for kind, table in self._held_out_rows(name):
                for quantity, value in vars(score(table)).items():
                    row[f"{kind}_{quantity}"] = value
            row["warnings"] = "; ".join(fitted.warnings)
            rows.append(row)
        table = pd.DataFrame(rows)
        # With too few observations for any correction all criteria are infinite: no weights.
        delta = table["aicc"] - table["aicc"].min()
        weight = np.exp(-delta.fillna(0.0) / 2)
        table.insert(4, "weight", weight / weight.sum())
        kinds = [c for c in table.columns if c.endswith("log_score")]
        order = table[kinds].to_numpy().mean(axis=1) if kinds else -table["aicc"].to_numpy()
        table = table.iloc[np.argsort(-order, kind="stable")].reset_index(drop=True)
        table.insert(1, "verdict", self._verdicts(table))
        return table

    def parameters(
        self, models: Iterable[str] | None = None, progress: Progress = no_progress
    ) -> pd.DataFrame:
        """Return model, parameter, estimate, low, high, meaning, k_hat: a row a parameter.

        The estimate is that of maximum likelihood, nan where the parameter has no influence; low
        and high enclose 90 % of the posterior, nan where the data are less informative than the
        prior, and are rough where `k_hat` is above 0.7. For all models, or those named; `progress`
        is called after each.
        """
        selected = [self.of(name).model for name in (self.maxima if models is None else models)]

        def draw(model: Model) -> Draws:
            draws = self.posterior(model.name)
            progress(1)
            return draws

        posteriors = _in_threads(draw, selected)
        rows = []
        for model in selected:
            name, fitted = model.name, self.maxima[model.name]
            intervals, k_hat = posteriors[name].interval(), posteriors[name].k_hat
            for i, p in fitted.indexed_parameters():
                estimate = float("nan") if fitted.inactive[i] else fitted.values[p.name]
                rows.append((name, p.name, estimate, *intervals[p.name], p.meaning, k_hat))
        columns = ["model", "parameter", "estimate", "low", "high", "meaning", "k_hat"]
        return pd.DataFrame(rows, columns=columns)

    def posterior(self, model: str) -> Draws:
        """Return draws from the posterior of a model by name, made on first use; raise `UserError`
        for a model that was not fitted."""
        if model not in self._posteriors:
            fitted = self.of(model)
            mode = maximize(fitted.model, self._design, 2, fitted.x, prior=1.0)
            self._posteriors[model] = draw_posterior(mode, self._design)
        return self._posteriors[model]

    @cached_property
    def _design(self) -> Design:
        return design(self.arms)

    def of(self, model: str) -> Maximum:
        """Return a fitted model by name; raise `UserError` for one that was not fitted."""
        if model not in self.maxima:
            raise UserError(f"no model '{model}' was fitted, there are {', '.join(self.maxima)}")
        return self.maxima[model]

    def _held_out_rows(self, model: str) -> list[tuple[str, pd.DataFrame]]:
        if self.held_out.empty:
            return []
        rows = self.held_out[self.held_out["model"] == model]
        return [
            (str(kind), pd.DataFrame(rows[rows["kind"] == kind])) for kind in rows["kind"].unique()
        ]

    def _verdicts(self, table: pd.DataFrame) -> list[str]:
        best = str(table["model"].iloc[0])
        if self.held_out.empty:
            first = self.maxima[best]
            tied = [contest(first, self.of(m), self._design).tie for m in table["model"]]
        else:
            variances = self.held_out[self.held_out["quantity"] != "mean"]
            # Runs are independent: compare their mean densities, model by model.
            density = variances.pivot_table(index="run", columns="model", values="log_density")
            each = [
                density[best].to_numpy() - density[model].to_numpy() for model in table["model"]
            ]
            root = np.sqrt(len(density))
            tied = [len(g) > 1 and g.mean() < 2 * g.std(ddof=1) / root for g in each]
        return [
            "best" if model == best else "tie" if tie else ""
            for model, tie in zip(table["model"], tied, strict=True)
        ]


def fit(
    runs: Iterable[Run] | Sequence[Arm],
    models: Iterable[str | Model] | None = None,
    holdout: Sequence[str] = HOLDOUTS,
    trait: str = "latent",
    components: Sequence[int] | None = None,
    progress: Progress = no_progress,
) -> Result:
    """Fit models to runs with parameters shared by all arms.

    `models` are names of `every_model`, or theories without a link, which stand for all their
    links; all by default, and the naive forecasts always. `holdout` are kinds of holdout, of which
    those are used that the arms allow. `trait` and `components` as in `analysis.arms.read`.
    `progress` is called after each model.

    Raises `UserError` for unknown models or holdouts, and runs that cannot be fitted.
    """
    given = list(runs)
    if given and isinstance(given[0], Arm):
        arms, left_out = [arm for arm in given if isinstance(arm, Arm)], []
    else:
        arms, left_out = read_arms([r for r in given if isinstance(r, Run)], trait, components)
    chosen, kinds = _chosen(models), possible_splits(arms, holdout)
    if all(model.name in NAIVE for model in chosen):
        raise UserError(
            f"a fit needs a theory beside those that all are compared with: {', '.join(NAIVE)}"
        )
    if models is None:
        chosen = _distinct(chosen, arms)
    stacked = design(arms)

    def fit_model(model: Model) -> tuple[Maximum, list[pd.DataFrame]]:
        fitted = maximize(model, stacked)
        tables = [
            predictions(model, arms, split, fitted).assign(kind=kind)
            for kind, group in kinds.items()
            for split in group
        ]
        progress(1)
        return fitted, tables

    done = _in_threads(fit_model, chosen)
    tables = [table for _, model_tables in done.values() for table in model_tables]
    return Result(
        tuple(arms),
        tuple(left_out),
        {name: fitted for name, (fitted, _) in done.items()},
        pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(),
    )


def _in_threads(work: Callable[[Model], T], models: Iterable[Model]) -> dict[str, T]:
    """Return the result of `work` for every model, by name."""
    # The first fit is mostly compilation, during which XLA releases the interpreter. Links of a
    # theory share compiled functions, so a theory stays in one thread.
    groups: dict[str, list[Model]] = {}
    for model in models:
        groups.setdefault(model.theory, []).append(model)
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as pool:
        ends = pool.map(lambda group: {m.name: work(m) for m in group}, groups.values())
        return {name: end for group in ends for name, end in group.items()}


def _chosen(models: Iterable[str | Model] | None) -> list[Model]:
    known = every_model()
    if models is None:
        return list(known.values())
    chosen: dict[str, Model] = {}
    for choice in models:
        if isinstance(choice, Model):
            chosen[choice.name] = choice
            continue
        same = {n: m for n, m in known.items() if choice in (n, m.theory)}
        if not same:
            theories = dict.fromkeys(m.theory for m in known.values())
            raise UserError(f"there is no model '{choice}', there are {', '.join(theories)}")
        chosen |= same
    return list({**chosen, **{name: known[name] for name in NAIVE}}.values())


def _distinct(models: list[Model], arms: Sequence[Arm]) -> list[Model]:
    """Keep one link of each theory where all arms have one scale, which cannot separate links."""
    if len(np.unique([arm.scales for arm in arms])) > 2:
        return models
    kept: dict[str, Model] = {}
    for model in models:
        if model.theory not in kept or model.link == "saturating":
            kept[model.theory] = model
    return list(kept.values())
