"""All measures of one generation, alone and against others, with intervals."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float

from empirical.measuring.metrics.intervals import RESAMPLES, halves, halves_of_one, interval
from empirical.measuring.metrics.measures import every_measure
from empirical.measuring.metrics.measures._base import Pair, Sample
from empirical.out_of_memory import is_out_of_memory

ANYTHING = (-np.inf, np.inf)
# References that a generation is compared with, as tables name them.
GENERATION_0 = "generation 0"
PREVIOUS = "the generation before"
HELD_OUT = "held-out real images"
TRAINING_SET = "the training set"
Measure = Callable[[Any], float]


def of_training_sets() -> list[str]:
    """Return the names of the measures that compare with a generation's training set."""
    return [name for name, module in every_measure().items() if hasattr(module, "TRAINING")]


@dataclass(frozen=True)
class Measurement:
    """One measure of one generation, in one feature space; `reference` is None where it needs none.

    `low` and `high` bound a 95 % interval of the sampling error (see `intervals.interval`), nan
    where there are too few images; `n` images were measured; `caution` is a warning about the
    number, if any. Where a measure `failed`, its value is nan, and the caution gives the reason.
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
        """Return a row for JSON, with None for undefined numbers."""
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

    `training` is its training set, where that is not simply the previous generation: the measures
    of training sets compare with it too.

    Without names: every measure that is defined for the features at hand. Measures that are not
    defined for a sample (no captions, too few images) are left out, and a failure affects no other
    measure. All measures of one reference use the same halves, drawn by the seed, and a reference
    under two names is measured once.
    """
    modules = every_measure()
    chosen = {name: modules[name] for name in (modules if names is None else names)}
    alone = {name: module for name, module in chosen.items() if hasattr(module, "alone")}
    against = {name: module for name, module in chosen.items() if hasattr(module, "against")}
    results = _alone(sample, alone, seed, resamples) if alone else []
    seen: dict[int, list[Measurement]] = {}
    for label, reference in references.items():
        if against and id(reference) not in seen:
            seen[id(reference)] = _against(Pair(sample, reference), against, seed, resamples)
        for result in seen.get(id(reference), []):
            results.append(replace(result, reference=label))
    of_training = {name: chosen[name] for name in of_training_sets() if name in chosen}
    if training is not None and of_training:
        measured = _against(Pair(sample, training), of_training, seed, resamples)
        results += [replace(result, reference=TRAINING_SET) for result in measured]
    return [result for result in results if math.isfinite(result.value) or result.failed]


def of_generation(
    sample: Sample,
    references: Mapping[str, Sample],
    features: str,
    seed: int,
    resamples: int = RESAMPLES,
    training: Sample | None = None,
) -> dict[str, Any]:
    """Return the content of ``metrics.json`` for a generation.

    `sample` holds the generation's features, captions, and predicted captions where a classifier
    knows them; `references` by their labels, the most informative last: the top-level Fréchet
    distance is to that one. `training` is its training set, where that is not simply the previous
    generation. `features` names the space. The top level has accuracy, frechet, diversity,
    features and reference, None where undefined; `measures` has every measure with its interval.
    """
    results = measurements(sample, references, seed, resamples=resamples, training=training)
    return summary(results, features, list(references)[-1] if references else None)


def summary(
    results: Sequence[Measurement], features: str, main: str | None = None
) -> dict[str, Any]:
    """Return measurements in the form of ``metrics.json``; the top-level Fréchet distance is that
    to the reference `main`."""
    by_name = {
        (result.measure, result.reference): result.value for result in results if not result.failed
    }
    return {
        "accuracy": by_name.get(("accuracy", None)),
        "frechet": by_name.get(("frechet", main)),
        "diversity": by_name.get(("diversity", None)),
        "features": features,
        "reference": main,
        "measures": [result.row() for result in results],
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


def _spreads(
    measures: Sequence[Measure], parts: Iterable[Sample | Pair]
) -> Float[np.ndarray, "measures halves"]:
    """Return measures [measures, halves] of every half, one half at a time."""
    rows = [[_nan_on_failure(measure, part) for measure in measures] for part in parts]
    return np.array(rows).reshape(-1, len(measures)).T


def _measurement(
    name: str,
    module: ModuleType,
    measure: Measure,
    data: Sample | Pair,
    of_halves: Float[np.ndarray, " halves"],
    sample: Sample,
) -> Measurement:
    try:
        value, caution = measure(data), None
        if isinstance(data, Pair) and hasattr(module, "caution"):
            caution = module.caution(data)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        reason = f"{name} could not be measured: {type(error).__name__}, {reason}"
        nothing = float("nan")
        return Measurement(name, None, nothing, nothing, nothing, len(sample), reason, failed=True)
    low, high = interval(value, of_halves, len(sample), getattr(module, "RANGE", ANYTHING))
    return Measurement(name, None, value, low, high, len(sample), caution)


def _nan_on_failure(measure: Measure, part: Sample | Pair) -> float:
    """Return a measure of a half, nan where it fails: an interval needs only some halves."""
    try:
        return measure(part)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return float("nan")
