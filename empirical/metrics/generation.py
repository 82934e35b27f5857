"""All measures of one generation, alone and against others, with intervals."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from empirical.metrics.intervals import RESAMPLES, halves, halves_of_one, interval
from empirical.metrics.measures import every_measure
from empirical.metrics.sample import Pair, Sample

ANYTHING = (-np.inf, np.inf)
TRAINING_SET = "the training set"


def of_training_sets() -> list[str]:
    """Return the names of the measures that compare with what a generation learnt from."""
    return [name for name, module in every_measure().items() if hasattr(module, "TRAINING")]


@dataclass(frozen=True)
class Measurement:
    """One measure of one generation, in some features; `reference` is None where it needs none.

    `low` and `high` bound a 95 % interval of the sampling error (see `intervals.interval`), nan
    where there are too few images; `n` images were measured; `caution` says what is wrong with the
    number, if anything.
    """

    measure: str
    reference: str | None
    value: float
    low: float
    high: float
    n: int
    caution: str | None = None

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
) -> list[Measurement]:
    """Measure a sample alone and against each reference, by the names of measures.

    Without names: every measure that is defined for the features at hand. What is not defined for
    a sample (no captions, too few images) is left out. All measures of one reference see the same
    halves, drawn by the seed, and a reference that is there under two names is measured once.
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
            found.append(
                Measurement(it.measure, label, it.value, it.low, it.high, it.n, it.caution)
            )
    return [it for it in found if math.isfinite(it.value)]


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
    found = measurements(sample, references, seed, resamples=resamples)
    if training is not None:
        learnt = {TRAINING_SET: training}
        found += measurements(sample, learnt, seed, of_training_sets(), resamples)
    main = list(references)[-1] if references else None
    by_name = {(it.measure, it.reference): it.value for it in found}
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
    rows = [
        [module.alone(part) for module in modules.values()]
        for part in halves_of_one(sample, seed, resamples)
    ]
    spreads = np.array(rows).reshape(-1, len(modules)).T
    return [
        _measurement(name, module, module.alone(sample), spread, sample)
        for (name, module), spread in zip(modules.items(), spreads, strict=True)
    ]


def _against(
    pair: Pair, modules: Mapping[str, ModuleType], seed: int, resamples: int
) -> list[Measurement]:
    rows = [
        [module.against(part) for module in modules.values()]
        for part in halves(pair, seed, resamples)
    ]
    spreads = np.array(rows).reshape(-1, len(modules)).T
    return [
        _measurement(
            name, module, module.against(pair), spread, pair.sample, _caution(module, pair)
        )
        for (name, module), spread in zip(modules.items(), spreads, strict=True)
    ]


def _measurement(
    name: str,
    module: ModuleType,
    value: float,
    of_halves: np.ndarray,
    sample: Sample,
    caution: str | None = None,
) -> Measurement:
    low, high = interval(value, of_halves, len(sample), getattr(module, "RANGE", ANYTHING))
    return Measurement(name, None, value, low, high, len(sample), caution)


def _caution(module: ModuleType, pair: Pair) -> str | None:
    return module.caution(pair) if hasattr(module, "caution") else None
