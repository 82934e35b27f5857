"""Intervals: their coverage and their reproducibility."""

import json

import numpy as np
import pytest

from empirical.measuring import metrics
from empirical.measuring.metrics import Sample, every_measure, measurements, of_generation
from empirical.measuring.metrics.intervals import halves_of_one, interval

N, D = 80, 4
CAPTIONS = tuple("abcd"[i % 4] for i in range(N))


def normal(rng, shift=0.0):
    predicted = tuple(c if rng.random() < 0.7 else "z" for c in CAPTIONS)
    return Sample(rng.normal(size=(N, D)) + shift, CAPTIONS, predicted)


def test_for_a_mean_the_interval_is_the_standard_error():
    """Half of n without replacement: variance s^2/n exactly, here over many halves."""
    rng = np.random.default_rng(0)
    sample = normal(rng)
    hits = np.array(sample.predicted) == np.array(sample.captions)
    parts = halves_of_one(sample, 0, 4000)
    spread = np.array([every_measure()["accuracy"].alone(part) for part in parts])
    value = hits.mean()
    low, high = interval(value, spread, N, (0, 1))
    error = hits.std(ddof=1) / np.sqrt(N)
    # The standard deviation of 4000 draws is known to 1 part in sqrt(8000).
    assert (high - low) / (2 * 1.96) == pytest.approx(error, rel=4 / np.sqrt(8000))


def test_intervals_are_as_wide_as_what_is_measured_varies():
    """Where the sets differ; 60 replicates estimate a standard deviation to a tenth."""
    rng = np.random.default_rng(1)
    names = ["frechet", "kid", "precision", "density", "nearest", "accuracy"]
    results: dict[str, list[tuple[float, float]]] = {}
    for seed in range(60):
        for result in measurements(normal(rng, 0.5), {"real": normal(rng)}, seed, names, 40):
            results.setdefault(result.measure, []).append(
                (result.value, (result.high - result.low) / (2 * 1.96))
            )
    assert set(results) == set(names)
    for name, pairs in results.items():
        values, errors = np.array(pairs).T
        assert 0.7 < errors.mean() / values.std(ddof=1) < 1.5, name


def test_copies_do_not_widen_or_shift_what_is_measured():
    """The reason against drawing with replacement: it would make a Fréchet distance larger."""
    rng = np.random.default_rng(2)
    results = measurements(normal(rng), {"real": normal(rng)}, 0)
    for result in results:
        assert result.low <= result.value <= result.high, result
        low, high = getattr(every_measure()[result.measure], "RANGE", (-np.inf, np.inf))
        assert low <= result.low <= result.high <= high, result


def test_the_seed_draws_the_halves_and_the_names_do_not():
    rng = np.random.default_rng(3)
    a, b = normal(rng), normal(rng, 1.0)
    every = {result.measure: result for result in measurements(a, {"b": b}, 5)}
    assert {result.measure: result for result in measurements(a, {"b": b}, 5)} == every
    (alone,) = measurements(a, {"b": b}, 5, ["kid"])
    assert alone == every["kid"]
    (other,) = measurements(a, {"b": b}, 6, ["kid"])
    assert other.value == alone.value
    assert other.low != alone.low


def test_too_few_images_have_values_and_no_intervals():
    rng = np.random.default_rng(4)
    few = normal(rng).take(np.arange(3))
    results = {result.measure: result for result in measurements(few, {"b": normal(rng)}, 0)}
    assert np.isnan(results["kid"].low)
    assert results["kid"].row()["low"] is None
    # Three images have no third neighbour.
    assert "recall" not in results


def test_what_a_generation_says():
    rng = np.random.default_rng(5)
    sample, first, real = normal(rng, 0.2), normal(rng), normal(rng)
    summary = of_generation(
        sample, {"generation 0": first, "previous": first, "real": real}, "f", 0
    )
    assert summary["accuracy"] == metrics.accuracy(sample.predicted, sample.captions)
    assert summary["diversity"] == pytest.approx(
        metrics.diversity(sample.features, sample.captions)
    )
    assert summary["frechet"] == pytest.approx(metrics.frechet(sample.features, real.features))
    assert (summary["features"], summary["reference"]) == ("f", "real")
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    rows = {(row["measure"], row["reference"]): row for row in summary["measures"]}
    assert len(rows) == len(summary["measures"])
    against = [n for n, module in every_measure().items() if hasattr(module, "against")]
    for name in against:
        # Two names of one set: measured once, reported twice.
        first_row, second_row = rows[name, "generation 0"], rows[name, "previous"]
        assert {**first_row, "reference": 0} == {**second_row, "reference": 0}
        assert rows[name, "real"] != first_row
    # No embeddings of captions, no score of them.
    assert ("clip_score", None) not in rows


def test_a_generation_alone_says_what_it_can():
    summary = of_generation(Sample(np.eye(3)), {}, "f", 0)
    assert (
        summary["accuracy"]
        is summary["frechet"]
        is summary["diversity"]
        is summary["reference"]
        is None
    )
    assert [row["measure"] for row in summary["measures"]] == ["vendi"]


def test_more_dimensions_than_images_are_said():
    rng = np.random.default_rng(6)
    a, b = (Sample(rng.normal(size=(20, 30))) for _ in range(2))
    cautions = {result.measure: result.caution for result in measurements(a, {"b": b}, 0)}
    assert "20 and 20 images in 30 dimensions" in cautions.pop("frechet")
    assert set(cautions.values()) == {None}
