"""What an arm is read from: the generations, moments and recipe of a run, or of a scan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from empirical.recipe import MeasureTable, Settings
from empirical.runs.moments import Replicates


class Images(Protocol):
    """The measured images of a generation."""

    @property
    def captions(self) -> list[str]: ...

    def traits(self) -> list[str]: ...

    def trait(self, name: str) -> np.ndarray: ...

    def replicates(self) -> Replicates | None: ...


class Effective(Protocol):
    """The effective settings of a chain, and what is measured of it."""

    @property
    def settings(self) -> Settings: ...

    @property
    def measure(self) -> MeasureTable: ...


class Record(Protocol):
    """What an arm is read from: a run, or a scan at one scale."""

    @property
    def name(self) -> str: ...

    @property
    def folder(self) -> Path: ...

    @property
    def recipe(self) -> Effective: ...

    def generation(self, number: int) -> Images: ...

    def generations(self) -> Sequence[Images]: ...

    def moments(self) -> pd.DataFrame: ...
