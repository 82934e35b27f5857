"""All measures of one generation, alone and against others, with intervals."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np

from empirical.measuring.metrics.intervals import RESAMPLES, halves, halves_of_one, interval
from empirical.measuring.metrics.measures import every_measure
from empirical.measuring.metrics.measures._base import Pair, Sample
from empirical.out_of_memory import is_out_of_memory

ANYTHING = (-np.inf, np.inf)
# What a generation is compared with, as tables name it.
GENERATION_0 = "generation 0"
PREVIOUS = "the generation before"
HELD_OUT = "held-out real images"
TRAINING_SET = "the training set"
Measure = Callable[[Any], float]


def of_training_sets() -> list[str]:
    """Return the names of the measures that compare with what a generation learnt from."""
    return [name for name, module in every_measure().items() if hasattr(module, "TRAINING")]


@dataclass(frozen=True)
class Measurement:
    """One measure of one generation, in some features; `reference` is None where it needs none.

    `low` and `high` bound a 95 % interval of the sampling error (see `intervals.interval`), nan
    where there are too few images; `n` images were measured; `caution` says what is wrong with the
    number, if anything. Where a measure `failed`, its value is nan, and the caution says why.
    """

    measure: str
    reference: str | None
    value: float
    low: float
    high: float
    n: int
    caution: str | None = None
    failed: bool = False

    def row(self) -> dict[str, Any]:
        """Return a row for JSON, with None for what is not defined."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {
            "measure": self.measure,
            "reference": self.reference,
            **{name: number if math.isfinite(number) else None for name, number in numbers.items()},
            "n": self.n,
            "caution": self.caution,
        }


def measurements(
    sample: Sample,
    references: Mapping[str, Sample],
    seed: int,
    names: Iterable[str] | None = None,
    resamples: int = RESAMPLES,
    training: Sample | None = None,
) -> list[Measurement]:
    """Measure a sample alone and against each reference, by the names of measures.

    `training` is what it learnt from, where that is not simply the generation before: the measures
    of training sets compare with it too.

    Without names: every measure that is defined for the features at hand. What is not defined for
    a sample (no captions, too few images) is left out, and what fails costs no other measure. All
    measures of one reference see the same halves, drawn by the seed, and a reference that is there
    under two names is measured once.
    """
    modules = every_measure()
    chosen = {name: modules[name] for name in (modules if names is None else names)}
    alone = {name: module for name, module in chosen.items() if hasattr(module, "alone")}
    against = {name: module for name, module in chosen.items() if hasattr(module, "against")}
    found = _alone(sample, alone, seed, resamples) if alone else []
    seen: dict[int, list[Measurement]] = {}
    for label, reference in references.items():
        if against and id(reference) not in seen:
            seen[id(reference)] = _against(Pair(sample, reference), against, seed, resamples)
        for it in seen.get(id(reference), []):
            found.append(replace(it, reference=label))
    learnt = {name: chosen[name] for name in of_training_sets() if name in chosen}
    if training is not None and learnt:
        measured = _against(Pair(sample, training), learnt, seed, resamples)
        found += [replace(it, reference=TRAINING_SET) for it in measured]
    return [it for it in found if math.isfinite(it.value) or it.failed]


def of_generation(
    sample: Sample,
    references: Mapping[str, Sample],
    features: str,
    seed: int,
    resamples: int = RESAMPLES,
    training: Sample | None = None,
) -> dict[str, Any]:
    """Return what ``metrics.json`` says of a generation.

    `sample` holds the generation's features, captions, and predicted captions where a classifier
    knows them; `references` by their labels, the most telling last: the Fréchet distance at the
    top is to that one. `training` is what it learnt from, where that is not simply the generation
    before. `features` names the space. At the top stand accuracy, frechet, diversity,
    features and reference, None where not defined; in `measures` every measure with its interval.
    """
    found = measurements(sample, references, seed, resamples=resamples, training=training)
    return summary(found, features, list(references)[-1] if references else None)


def summary(found: Sequence[Measurement], features: str, main: str | None = None) -> dict[str, Any]:
    """Return measurements in the form of ``metrics.json``; the Fréchet distance at the top is that
    to the reference `main`."""
    by_name = {(it.measure, it.reference): it.value for it in found if not it.failed}
    return {
        "accuracy": by_name.get(("accuracy", None)),
        "frechet": by_name.get(("frechet", main)),
        "diversity": by_name.get(("diversity", None)),
        "features": features,
        "reference": main,
        "measures": [it.row() for it in found],
    }


def _alone(
    sample: Sample, modules: Mapping[str, ModuleType], seed: int, resamples: int
) -> list[Measurement]:
    measures = [module.alone for module in modules.values()]
    spreads = _spreads(measures, halves_of_one(sample, seed, resamples))
    return [
        _measurement(name, module, module.alone, sample, spread, sample)
        for (name, module), spread in zip(modules.items(), spreads, strict=True)
    ]


def _against(
    pair: Pair, modules: Mapping[str, ModuleType], seed: int, resamples: int
) -> list[Measurement]:
    measures = [module.against for module in modules.values()]
    spreads = _spreads(measures, halves(pair, seed, resamples))
    return [
        _measurement(name, module, module.against, pair, spread, pair.sample)
        for (name, module), spread in zip(modules.items(), spreads, strict=True)
    ]


def _spreads(measures: Sequence[Measure], parts: Iterable[Sample | Pair]) -> np.ndarray:
    """Return measures [measures, halves] of every half, one half at a time."""
    rows = [[_or_nan(measure, part) for measure in measures] for part in parts]
    return np.array(rows).reshape(-1, len(measures)).T


def _measurement(
    name: str,
    module: ModuleType,
    measure: Measure,
    whole: Sample | Pair,
    of_halves: np.ndarray,
    sample: Sample,
) -> Measurement:
    try:
        value, caution = measure(whole), None
        if isinstance(whole, Pair) and hasattr(module, "caution"):
            caution = module.caution(whole)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        reason = f"{name} could not be measured: {type(error).__name__}, {reason}"
        nothing = float("nan")
        return Measurement(name, None, nothing, nothing, nothing, len(sample), reason, failed=True)
    low, high = interval(value, of_halves, len(sample), getattr(module, "RANGE", ANYTHING))
    return Measurement(name, None, value, low, high, len(sample), caution)


def _or_nan(measure: Measure, part: Sample | Pair) -> float:
    """Return a measure of a half, nan where it fails: an interval needs no more than some."""
    try:
        return measure(part)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return float("nan")
