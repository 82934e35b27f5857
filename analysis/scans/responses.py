"""Response curves: what the images of one model are at every scale, as rows of a table.

Columns of scan.csv, a row for each quantity:

- generation, feature, component: of the feature, empty for an average over components
- scale: CFG scale, empty for the training set
- quantity: `mean`, `within`, `between` as in moments.csv, replicates included; `S`, `S_rms` and
  both over the standard deviation within prompts before selection (`_standardised`), see
  `analysis.selection.differentials`; `slope` of prompt means on those of the training set and `r2`,
  the fraction of their variance that it explains. Of the feature `images`: accuracy, frechet,
  diversity
- value, low, high: in feature units, or squared, as the quantity says; 90 % interval
- target: "these prompts", "population of prompts", for measures of images "images"; empty without
  an interval
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.scans.curves import Curve, Reader
from analysis.scans.neutral import between
from analysis.selection import differentials, intervals, transmission, variances
from analysis.selection.draws import Sample
from analysis.selection.intervals import LEVEL, THESE, Estimate
from analysis.selection.read import is_averaged
from empirical.runs.scans import Scan

COLUMNS = (
    "generation", "feature", "component", "scale", "quantity", "value", "low", "high", "target",
)  # fmt: skip
IMAGES = "images"
MEASURES = ("accuracy", "frechet", "diversity")
# Intervals of measures of sets of images are of 95 %.
_OF_MEASURES = 1.96


def table(scan: Scan) -> pd.DataFrame:
    """Return the response curves of a scan, as scan.csv has them."""
    rows = [row for generation in scan.generations for row in _generation(scan, generation)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"component": "Int64"})


def _generation(scan: Scan, generation: int) -> Iterator[tuple[Any, ...]]:
    reader = Reader(scan, generation)
    for trait in reader.traits:
        curve = reader.curve(trait)
        width = curve.parents.values.shape[1]
        indices: list[int | None] = [None]
        if not is_averaged(trait, width):
            indices = [*range(width), *([None] if width > 1 else [])]
        for index in indices:
            part = curve if index is None else curve.component(index)
            for scale, e in responses(part):
                place = (generation, trait, index, scale)
                yield (*place, e.quantity, e.value, e.low, e.high, e.target)
    for scale in scan.scales:
        for e in _measures(scan.quality(generation, scale)):
            yield (generation, IMAGES, None, scale, e.quantity, e.value, e.low, e.high, e.target)


def responses(curve: Curve) -> Iterator[tuple[float, Estimate]]:
    """Yield scale (nan for the training set) and estimate of every quantity of a curve."""
    for e in _of_parents(curve):
        yield np.nan, e
    for scale, sample in zip(curve.scales, curve.samples, strict=True):
        estimates = [_mean(sample), *_spread(sample, curve.distinct), *_heredity(sample, curve)]
        draws = curve.draws(scale)
        # At scale 1 there is no selection: S is 0 by definition.
        if draws is not None and scale != 1:
            estimates += _first(differentials.differential(draws))
        yield from ((scale, e) for e in estimates)


def _of_parents(curve: Curve) -> list[Estimate]:
    """Return the moments of the training set, which is known exactly."""
    parents = curve.parents
    known = [Estimate("mean", float(parents.values.mean()))]
    if not curve.distinct:
        if parents.freedom:
            known.append(Estimate("within", parents.within))
        if len(parents.codes) > 1:
            known.append(Estimate("between", between(parents, False)[0]))
    elif curve.parents_within is not None and curve.parents_within.freedom:
        variance = parents.values.var(axis=0, ddof=1)
        base = curve.parents_within
        V_W = np.minimum(np.square(base.deviations).sum(axis=0) / base.freedom, variance)
        known.append(Estimate("within", float(V_W.mean())))
        known.append(Estimate("between", float((variance - V_W).mean())))
    return known


def _mean(sample: Sample) -> Estimate:
    z = sample.values.mean(axis=1)
    ends = intervals.student(float(z.mean()), *intervals.over_images(z / len(z), sample))
    return _targeted(Estimate("mean", float(z.mean()), *ends, THESE))


def _spread(sample: Sample, distinct: bool) -> list[Estimate]:
    estimates = _first(variances.within(sample, "within"))
    if len(sample.codes) > 1 and (sample.freedom or not distinct):
        value, variance = between(sample, distinct)
        low, high = intervals.student(value, variance, np.inf)
        low = max(low, 0.0) if np.isfinite(low) else low
        estimates.append(_targeted(Estimate("between", value, low, high, THESE)))
    return estimates


def _heredity(sample: Sample, curve: Curve) -> list[Estimate]:
    """Return the parent-offspring slope, and the fraction of the variance of prompt means that it
    explains."""
    estimates = _first(transmission.slope(sample, curve.parents, "slope"))
    codes = np.intersect1d(sample.codes, curve.parents.codes)
    if not estimates:
        return []
    x, y = (s.only(codes).means for s in (curve.parents, sample))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    squares = float(np.square(y).sum())
    if squares > 0:
        rest = float(np.square(y - estimates[0].value * x).sum())
        estimates.append(Estimate("r2", 1 - rest / squares))
    return estimates


def _first(estimates: list[Estimate]) -> list[Estimate]:
    """Return one estimate of each quantity: of these prompts, where their images tell."""
    by_name: dict[str, Estimate] = {}
    for e in sorted(estimates, key=lambda e: e.target == THESE):
        by_name[e.quantity] = e
    return list(by_name.values())


def _targeted(e: Estimate) -> Estimate:
    return e if np.isfinite(e.low) else Estimate(e.quantity, e.value)


def _measures(quality: Mapping[str, Any]) -> Iterator[Estimate]:
    """Yield the measures of a set of images, with intervals of 90 %."""
    factor = float(norm.ppf((1 + LEVEL) / 2)) / _OF_MEASURES
    for name in MEASURES:
        if quality.get(name) is None:
            continue
        value = float(quality[name])
        rows = [row for row in quality.get("measures", ()) if _is(row, name, quality)]
        if not rows or rows[0]["low"] is None:
            yield Estimate(name, value)
            continue
        low, high = (value + factor * (float(rows[0][end]) - value) for end in ("low", "high"))
        yield Estimate(name, value, low, high, IMAGES)


def _is(row: Mapping[str, Any], name: str, quality: Mapping[str, Any]) -> bool:
    reference = row.get("reference")
    return row["measure"] == name and reference in (None, quality.get("reference"))
