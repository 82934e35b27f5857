"""The source of an arm: the generations, moments and recipe of a run, or of a scan."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from jaxtyping import Shaped

from empirical.recipe import MeasureTable, Recipe, Settings
from empirical.runs.moments import Replicates


class Images(Protocol):
    """The measured images of a generation."""

    @property
    def captions(self) -> list[str]: ...

    def traits(self) -> list[str]: ...

    def trait(self, name: str) -> Shaped[np.ndarray, "n k"]: ...

    def replicates(self) -> Replicates | None: ...


@dataclass(frozen=True)
class Effective:
    """The effective settings of a chain that has no recipe, and what is measured of it."""

    settings: Settings
    measure: MeasureTable


class Record(Protocol):
    """The source of an arm: a run, or a scan at one scale."""

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> Path: ...

    @property
    def recipe(self) -> Recipe | Effective: ...

    def generation(self, number: int) -> Images: ...

    def generations(self) -> Sequence[Images]: ...

    def moments(self) -> pd.DataFrame: ...
