"""A set of runs, distinguished by their recipes and never by their folder names."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Shaped

from empirical.errors import UserError
from empirical.recipe import COMPUTING
from empirical.runs.record import Generation, Run
from figures.fitted import Fitted

SCALE = "generate.guidance.scale"
_IGNORED = {"seed", *COMPUTING}
# Remedies that only change settings of other tables.
_BY_SETTINGS = {"redifine", "condition_drop", "real_data"}


@dataclass(frozen=True)
class Curve:
    """One quantity along the generations of runs that differ only in their seed.

    `each` [runs, generations]; `low` and `high` are the interval of a single run where there is
    only one, else the extremes over runs.
    """

    generations: Shaped[np.ndarray, " T"]
    each: Float[np.ndarray, "runs T"]
    low: Float[np.ndarray, " T"]
    high: Float[np.ndarray, " T"]

    @property
    def mean(self) -> Float[np.ndarray, " T"]:
        """The mean over runs, at each generation."""
        return self.each.mean(axis=0)

    @property
    def last(self) -> Float[np.ndarray, " runs"]:
        """The last generation's value, for each run."""
        return self.each[:, -1]


@dataclass(frozen=True)
class Study:
    """Runs in the given order, and the fit of theories to them, if any."""

    runs: tuple[Run, ...]
    fit: Fitted | None = None

    @property
    def fitted(self) -> Fitted:
        """The fit; raises `UserError` if there is none."""
        if self.fit is None:
            raise UserError("it needs a fit of theories to the runs: qtm fit RUN... --out FIT")
        return self.fit

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Every setting of each run as it takes effect, by run name, as one flat table."""
        by_run = {}
        for run in self.runs:
            settings = run.recipe.settings
            shown = settings.remedy is not None and settings.remedy.name not in _BY_SETTINGS
            by_run[run.name] = {
                key: value
                for key, value in settings.flat().items()
                if key not in _IGNORED and (shown or key.split(".")[0] != "remedy")
            }
        return by_run

    @cached_property
    def common(self) -> dict[str, Any]:
        """The most common value of each setting; None where most runs lack the key."""
        keys = dict.fromkeys(key for settings in self.settings.values() for key in settings)
        most = {}
        for key in keys:
            values = [settings.get(key) for settings in self.settings.values()]
            often, _ = Counter(map(repr, values)).most_common(1)[0]  # the first of ties
            most[key] = next(value for value in values if repr(value) == often)
        return most

    def differences(self, run: Run) -> dict[str, Any]:
        """Return the settings in which a run differs from the common ones."""
        settings = self.settings[run.name]
        return {
            key: settings.get(key)
            for key in {**self.common, **settings}
            if settings.get(key) != self.common.get(key)
        }

    def find(self, settings: Mapping[str, Any] = {}, free: Sequence[str] = ()) -> list[Run]:
        """Return the runs that have `settings`, and the common value of all others.

        Settings in `free` may have any value. All seeds are included.
        """
        expected = {**self.common, **settings}
        matches = []
        for run in self.runs:
            actual = self.settings[run.name]
            keys = (set(expected) | set(actual)) - set(free)
            if all(actual.get(key) == expected.get(key) for key in keys):
                matches.append(run)
        return matches

    def along(
        self, key: str, settings: Mapping[str, Any] = {}, free: Sequence[str] = ()
    ) -> dict[Any, list[Run]]:
        """Return the runs that differ only in one setting, ordered by its value."""
        runs: dict[Any, list[Run]] = {}
        for run in self.find(settings, [key, *free]):
            runs.setdefault(self.settings[run.name].get(key), []).append(run)
        return dict(sorted(runs.items(), key=lambda item: _order(item[0])))

    def scales(self) -> dict[float, list[Run]]:
        """Return the runs that differ only in the CFG scale, by scale; `UserError` for none."""
        by_scale = self.along(SCALE, {"generate.guidance.rule": "constant"})
        by_scale.pop(None, None)
        if not by_scale:
            raise UserError("none of the runs has a constant guidance scale and common settings")
        return by_scale

    @cached_property
    def measures(self) -> pd.DataFrame:
        """Every measure: run, generation, measure, reference, value, low, high."""
        rows = []
        for run in self.runs:
            for generation in run.generations():
                held = metrics(generation)
                key = {"run": run.name, "generation": generation.number}
                for row in held.get("measures", []):
                    rows.append({**key, **row})
                # None stands for the default reference of the run.
                for row in held.get("measures", []):
                    if row["reference"] == held.get("reference"):
                        rows.append({**key, **row, "reference": None})
        columns = ["run", "generation", "measure", "reference", "value", "low", "high"]
        return pd.DataFrame(rows, columns=columns)

    @cached_property
    def moments(self) -> pd.DataFrame:
        """Moments of all runs: run, generation, feature, component, mean, within, between, ..."""
        for run in self.runs:
            if not (run.folder / "moments.csv").is_file():
                raise UserError(
                    f"the run '{run.name}' has no moments.csv: qtm chain moments derives it"
                )
        return pd.concat([run.moments().assign(run=run.name) for run in self.runs])

    @cached_property
    def _indexed(self) -> dict[tuple[str, str], pd.DataFrame]:
        plain = self.measures[self.measures["reference"].isna()]
        groups = plain.groupby(["run", "measure"], sort=False)
        return {(str(run), str(name)): pd.DataFrame(rows) for (run, name), rows in groups}

    def measured(self, runs: Sequence[Run], measure: str) -> Curve:
        """Return a measure along the generations of runs; `UserError` where a run has none."""
        tables = []
        for run in runs:
            rows = self._indexed.get((run.name, measure))
            if rows is None:
                raise UserError(f"the run '{run.name}' has no measure '{measure}'")
            tables.append(rows.sort_values("generation"))
        length = min(map(len, tables))
        each, low, high = (
            np.array([t[name].to_numpy(float)[:length] for t in tables])
            for name in ("value", "low", "high")
        )
        if len(runs) > 1:
            low, high = each, each
        return Curve(
            tables[0]["generation"].to_numpy()[:length], each, low.min(axis=0), high.max(axis=0)
        )

    def variance(self, runs: Sequence[Run], part: str, feature: str = "latent") -> Curve:
        """Return `part` ("within", "between", "variance") of a trait, averaged over its components,
        relative to generation 0."""
        each = []
        for run in runs:
            table = self._averaged[feature].loc[run.name][part].to_numpy(float)
            each.append(table / table[0])
        length = min(map(len, each))
        values = np.array([path[:length] for path in each])
        return Curve(np.arange(length), values, values.min(axis=0), values.max(axis=0))

    @cached_property
    def _averaged(self) -> dict[str, pd.DataFrame]:
        columns = ["mean", "variance", "within", "between"]
        mean = self.moments.groupby(["feature", "run", "generation"])[columns].mean()
        return {name: mean.loc[name] for name in self.moments["feature"].unique()}


def metrics(generation: Generation) -> dict[str, Any]:
    """Return the metrics of a generation, empty if they are not stored."""
    stored = (generation.folder / "metrics.json").is_file()
    return generation.metrics() if stored else {}


def require_families(run: Run) -> None:
    """Raise `UserError` where prompts of generation 0 have one image each: such a figure shows a
    distribution for each prompt."""
    captions = run.generation(0).captions
    if min(Counter(captions).values()) < 2:
        raise UserError(
            f"the run '{run.name}' has prompts with one image each, of which no distribution is "
            f"known"
        )


def _order(value: Any) -> tuple:
    return (0, value, "") if isinstance(value, int | float) else (1, 0, str(value))
