"""Reading tables of trait series."""

from pathlib import Path

import numpy as np
import pandas as pd

from analysis.trait_series.series import TraitSeries, series
from empirical.errors import UserError


def read_csv(path: Path) -> TraitSeries:
    """Read a table with the columns generation, mean, variance, n.

    Raises `UserError` for a missing column, or for what `series` refuses.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise UserError(f"the series '{path}' cannot be read as a CSV file: {error}") from None
    wanted = ["generation", "mean", "variance", "n"]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise UserError(
            f"the series '{path}' has no column '{missing[0]}', it must have {', '.join(wanted)}"
        )
    return series(*(table[name].to_numpy() for name in wanted), what=f"'{path}'")


def read_paleots(path: Path) -> TraitSeries:
    """Read the text format of paleoTS: lines of n, mean, variance, time, without a header.

    Times may be ages, which fall: the series then begins with the oldest. Raises `UserError` for a
    line that is not four numbers, or for what `series` refuses.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the series '{path}' cannot be read as a text file: {error}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) != 4:
            raise UserError(
                f"line {number} of '{path}' is '{line.strip()}', it must be four numbers: n, mean, "
                f"variance, time"
            )
        rows.append(row)
    if not rows:
        raise UserError(f"the series '{path}' is empty")
    n, mean, variance, time = np.transpose(rows)
    if len(time) > 1 and np.all(np.diff(time) < 0):
        time = time[0] - time
    return series(time, mean, variance, n, what=f"'{path}'")
