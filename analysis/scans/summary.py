"""The tables of a scan: scan.csv (`analysis.scans.responses`) and neutral.csv.

neutral.csv, a row for each scale at which a criterion is met in a generation: generation, criterion
(`V_B`, `slope`), scale, standard_error, low, high (90 %; 0 and infinite where the range of the scan
ends first), target, direction (`rises` or `falls` as the scale grows); one row without scale and
direction where there is none in the range. See `analysis.scans.neutral`.
"""

from dataclasses import asdict
from importlib.metadata import entry_points
from pathlib import Path

import pandas as pd

from analysis.scans import neutral
from analysis.scans.curves import Reader
from analysis.scans.neutral import Neutral
from analysis.scans.responses import table
from empirical import files
from empirical.runs.scans import open_scan

_COLUMNS = (
    "generation", "criterion", "scale", "standard_error", "low", "high", "target", "direction",
)  # fmt: skip


def summarise(folder: Path) -> str:
    """Write scan.csv, neutral.csv and the figure into the folder of a scan; return its neutral
    scale in one line.

    Raises `UserError` where the scan is not complete, or its draws do not belong together.
    """
    scan = open_scan(folder)
    rows, lines = [], []
    for generation in scan.generations:
        curve = Reader(scan, generation).curve(neutral.TRAIT)
        by_variance = neutral.by_variance(curve)
        lines.append(neutral.sentence(by_variance, curve.positive))
        rows += [
            _row(generation, each)
            for criterion in (by_variance, neutral.by_slope(curve))
            if criterion is not None
            for each in criterion.every
        ]
    tables = {"scan": table(scan), "neutral": pd.DataFrame(rows, columns=list(_COLUMNS))}
    for name, frame in tables.items():
        files.write_text(folder / f"{name}.csv", frame.to_csv(index=False, float_format="%.8g"))
    # Packages register figures by entry point: there is none where this one is installed alone.
    for drawing in entry_points(group="qtm.figures", name="scan"):
        drawing.load()(folder)
    return lines[0]


def _row(generation: int, criterion: Neutral) -> dict[str, object]:
    values = {"generation": generation, **asdict(criterion), "direction": criterion.direction}
    return {name: values[name] for name in _COLUMNS}
