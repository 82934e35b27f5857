"""The source of an arm: the generations, moments and recipe of a run, or of a scan."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from empirical.recipe import MeasureTable, Recipe, Settings
from empirical.runs.draws import Generated


@dataclass(frozen=True)
class Effective:
    """The effective settings of a chain that has no recipe, and what is measured of it."""

    settings: Settings
    measure: MeasureTable


class Record(Protocol):
    """The source of an arm or of a chain of prompts: a run, or a scan at one scale."""

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> Path: ...

    @property
    def recipe(self) -> Recipe | Effective: ...

    def generation(self, number: int) -> Generated: ...

    def generations(self) -> Sequence[Generated]: ...

    def moments(self) -> pd.DataFrame: ...
