"""A fit of theories to a study, read from the tables of ``qtm fit --out``."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

import analysis
from analysis.comparison.fit import NAIVE
from empirical.errors import UserError

# The fit of all theories to the kept runs, as ``qtm fit --out`` wrote it.
KEPT = Path(analysis.__file__).parent / "results" / "embedded"


@dataclass(frozen=True)
class Fitted:
    """The folder of a fit: ``comparison.csv`` (best model first), ``parameters.csv`` and
    ``predictions.csv``, the held-out predictions of every model."""

    folder: Path

    @cached_property
    def models(self) -> list[str]:
        """Names of all models, the best first."""
        return list(self._read("comparison.csv", ["model"])["model"])

    @property
    def best(self) -> str:
        """The best model that is a theory and not a naive forecast."""
        return next(model for model in self.models if model not in NAIVE)

    @cached_property
    def parameters(self) -> pd.DataFrame:
        """Columns model, parameter, estimate, low, high (90 % interval)."""
        return self._read("parameters.csv", ["model", "parameter", "estimate", "low", "high"])

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Columns model, holdout, run, generation, component, quantity, measured, predicted, low,
        high, log_density; V_W and V_B are logarithms in units of generation 0's V_W + V_B."""
        columns = ["model", "holdout", "run", "generation", "component", "quantity", "measured",
                   "predicted", "low", "high", "log_density"]  # fmt: skip
        table = self._read("predictions.csv", columns)
        return table.assign(kind=table["holdout"].str.split().str[0])

    def predicted(self, model: str, kind: str, run: str, quantity: str) -> pd.DataFrame:
        """Return a model's predictions of a quantity of a run, averaged over components, by
        generation; empty where that was not held out. `kind` is "generations", "scale", "seed"."""
        table = self.predictions
        rows = table[
            (table["model"] == model)
            & (table["kind"] == kind)
            & (table["run"] == run)
            & (table["quantity"] == quantity)
        ]
        numbers = ["measured", "predicted", "low", "high"]
        return pd.DataFrame(rows.groupby("generation", as_index=False)[numbers].mean())

    def posterior(self) -> dict[str, Float[np.ndarray, " draws"]]:
        """Return draws of parameters by name, from ``posterior.nc``; empty if it is missing."""
        path = self.folder / "posterior.nc"
        if not path.is_file():
            return {}
        import xarray

        with xarray.open_dataset(path, group="posterior") as drawn:
            return {
                str(name): np.ravel(values) for name, values in drawn.items() if values.ndim == 2
            }

    def scores(self) -> pd.DataFrame:
        """Return one row for each model and kind of holdout: log_score (mean log predictive density
        of an observed ln V_W or ln V_B), within and between (mean absolute errors of these), and
        coverage of the 90 % intervals."""
        table = self._read("comparison.csv", ["model"])
        names = {"log_score": "log_score", "within_error": "within",
                 "between_error": "between", "coverage": "coverage"}  # fmt: skip
        kinds = [c.removesuffix("_log_score") for c in table if c.endswith("_log_score")]
        if not kinds:
            raise UserError(f"the fit '{self.folder}' has no held-out predictions")
        rows = [
            table[["model", *(f"{kind}_{name}" for name in names)]]
            .set_axis(["model", *names.values()], axis=1)
            .assign(kind=kind)
            for kind in kinds
        ]
        return pd.concat(rows, ignore_index=True)

    def _read(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        path = self.folder / name
        if not path.is_file():
            raise UserError(f"'{self.folder}' is not the folder of a fit: it has no {name}")
        # A run may be named 007, 1e3 or NA: its name is text.
        header = pd.read_csv(path, nrows=0, encoding="utf-8-sig")
        blank = {name: ["", "nan", "NaN"] for name in header if name != "run"}
        table = pd.read_csv(
            path, dtype={"run": str}, keep_default_na=False, na_values=blank, encoding="utf-8-sig"
        )
        missing = [column for column in columns if column not in table]
        if missing:
            raise UserError(f"'{path}' has no column '{missing[0]}'")
        return table


def one_link_each(models: Sequence[str]) -> list[str]:
    """Return the models, best first, without those that differ from a better one only in the link,
    the part of a name after the comma."""
    first: dict[str, str] = {}
    for model in models:
        first.setdefault(model.split(", ")[0], model)
    return list(first.values())
