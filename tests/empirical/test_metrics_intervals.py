"""Intervals: what they cover, and that they are the same every time."""

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
    it = normal(rng)
    hits = np.array(it.predicted) == np.array(it.captions)
    parts = halves_of_one(it, 0, 4000)
    spread = np.array([every_measure()["accuracy"].alone(part) for part in parts])
    value = hits.mean()
    low, high = interval(value, spread, N, (0, 1))
    error = hits.std(ddof=1) / np.sqrt(N)
    # The standard deviation of 4000 draws is known to 1 part in sqrt(8000).
    assert (high - low) / (2 * 1.96) == pytest.approx(error, rel=4 / np.sqrt(8000))


def test_intervals_are_as_wide_as_what_is_measured_varies():
    """Where the sets differ; 60 replicates know a standard deviation to a tenth."""
    rng = np.random.default_rng(1)
    names = ["frechet", "kid", "precision", "density", "nearest", "accuracy"]
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(60):
        for it in measurements(normal(rng, 0.5), {"real": normal(rng)}, seed, names, 40):
            found.setdefault(it.measure, []).append((it.value, (it.high - it.low) / (2 * 1.96)))
    assert set(found) == set(names)
    for name, pairs in found.items():
        values, errors = np.array(pairs).T
        assert 0.7 < errors.mean() / values.std(ddof=1) < 1.5, name


def test_copies_do_not_widen_or_shift_what_is_measured():
    """The reason against drawing with replacement: it would make a Fréchet distance larger."""
    rng = np.random.default_rng(2)
    found = measurements(normal(rng), {"real": normal(rng)}, 0)
    for it in found:
        assert it.low <= it.value <= it.high, it
        low, high = getattr(every_measure()[it.measure], "RANGE", (-np.inf, np.inf))
        assert low <= it.low <= it.high <= high, it


def test_the_seed_draws_the_halves_and_the_names_do_not():
    rng = np.random.default_rng(3)
    a, b = normal(rng), normal(rng, 1.0)
    whole = {it.measure: it for it in measurements(a, {"b": b}, 5)}
    assert {it.measure: it for it in measurements(a, {"b": b}, 5)} == whole
    (alone,) = measurements(a, {"b": b}, 5, ["kid"])
    assert alone == whole["kid"]
    (other,) = measurements(a, {"b": b}, 6, ["kid"])
    assert other.value == alone.value
    assert other.low != alone.low


def test_too_few_images_have_values_and_no_intervals():
    rng = np.random.default_rng(4)
    few = normal(rng).take(np.arange(3))
    found = {it.measure: it for it in measurements(few, {"b": normal(rng)}, 0)}
    assert np.isnan(found["kid"].low)
    assert found["kid"].row()["low"] is None
    # Three images have no third neighbour.
    assert "recall" not in found


def test_what_a_generation_says():
    rng = np.random.default_rng(5)
    it, first, real = normal(rng, 0.2), normal(rng), normal(rng)
    said = of_generation(it, {"generation 0": first, "previous": first, "real": real}, "f", 0)
    assert said["accuracy"] == metrics.accuracy(it.predicted, it.captions)
    assert said["diversity"] == pytest.approx(metrics.diversity(it.features, it.captions))
    assert said["frechet"] == pytest.approx(metrics.frechet(it.features, real.features))
    assert (said["features"], said["reference"]) == ("f", "real")
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    rows = {(row["measure"], row["reference"]): row for row in said["measures"]}
    assert len(rows) == len(said["measures"])
    against = [n for n, module in every_measure().items() if hasattr(module, "against")]
    for name in against:
        # Two names of one set: measured once, said twice.
        one, two = rows[name, "generation 0"], rows[name, "previous"]
        assert {**one, "reference": 0} == {**two, "reference": 0}
        assert rows[name, "real"] != one
    # No embeddings of captions, no score of them.
    assert ("clip_score", None) not in rows


def test_a_generation_alone_says_what_it_can():
    said = of_generation(Sample(np.eye(3)), {}, "f", 0)
    assert said["accuracy"] is said["frechet"] is said["diversity"] is said["reference"] is None
    assert [row["measure"] for row in said["measures"]] == ["vendi"]


def test_more_dimensions_than_images_are_said():
    rng = np.random.default_rng(6)
    a, b = (Sample(rng.normal(size=(20, 30))) for _ in range(2))
    cautions = {it.measure: it.caution for it in measurements(a, {"b": b}, 0)}
    assert "20 and 20 images in 30 dimensions" in cautions.pop("frechet")
    assert set(cautions.values()) == {None}
