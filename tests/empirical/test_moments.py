"""Moments against plain numpy, and the whole-generation metrics against closed forms."""

import numpy as np
import pytest

from empirical.measuring import metrics
from empirical.runs import moments

FAMILIES = ["a"] * 4 + ["b"] * 3 + ["c"] * 5


def test_moments_are_what_they_say():
    z = np.random.default_rng(0).normal(size=(12, 2)) + np.arange(12)[:, None]
    found = moments.moments(z, FAMILIES)
    groups = [z[:4], z[4:7], z[7:]]
    np.testing.assert_allclose(found["mean"], z.mean(0))
    np.testing.assert_allclose(found["variance"], z.var(0, ddof=1))
    pooled = sum((len(g) - 1) * g.var(0, ddof=1) for g in groups) / (12 - 3)
    np.testing.assert_allclose(found["within"], pooled)
    np.testing.assert_allclose(found["between"], np.var([g.mean(0) for g in groups], 0, ddof=1))


def test_with_equal_families_the_parts_make_up_the_whole():
    z = np.random.default_rng(1).normal(size=(20, 3))
    families = [str(i % 5) for i in range(20)]
    found = moments.moments(z, families)
    whole = 15 * found["within"] + 4 * 4 * found["between"]
    np.testing.assert_allclose(whole, 19 * found["variance"])


def test_what_cannot_be_had_is_nan():
    z = np.ones((3, 1))
    assert np.isnan(moments.moments(z, ["a", "b", "c"])["within"])
    assert np.isnan(moments.moments(z, ["a", "a", "a"])["between"])
    assert np.isnan(moments.moments(z[:1], ["a"])["variance"])


def test_moments_csv_is_rebuilt_from_the_features(tiny_run):
    path = tiny_run.folder / "moments.csv"
    before = path.read_bytes()
    table = tiny_run.moments()
    assert tuple(table.columns) == moments.COLUMNS
    path.unlink()
    tiny_run.rebuild_moments()
    assert path.read_bytes() == before
    row = table.query("generation == 1 and feature == 'latent' and component == 7").iloc[0]
    z = tiny_run.generation(1).trait("latent")[:, 7].astype(float)
    assert row["n"] == 20
    assert row["mean"] == pytest.approx(z.mean(), rel=1e-12)
    assert row["variance"] == pytest.approx(z.var(ddof=1), rel=1e-12)


def test_frechet_of_gaussians_with_the_same_axes():
    """Commuting covariances: |m_a - m_b|^2 + sum (sd_a - sd_b)^2."""
    rng = np.random.default_rng(0)
    raw = rng.normal(size=(400, 3))
    # Whitened exactly, so that the sample moments are the ones put in.
    white = (raw - raw.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    a, b = white * [1, 2, 3] + [0, 0, 1], white * [2, 2, 1] + [1, 0, 0]
    assert metrics.frechet(a, b) == pytest.approx(2 + 1 + 0 + 4, rel=1e-10)
    assert metrics.frechet(a, a) == pytest.approx(0, abs=1e-10)
    assert metrics.frechet(a, b) == pytest.approx(metrics.frechet(b, a), rel=1e-10)


def test_frechet_warns_of_too_few_images():
    with pytest.warns(UserWarning, match="singular"):
        metrics.frechet(np.eye(3), np.eye(3))


def test_diversity():
    z = np.array([[0.0, 0], [3, 4], [1, 1], [1, 1], [9, 9]])
    assert metrics.diversity(z, ["a", "a", "b", "b", "c"]) == pytest.approx(2.5)
    assert np.isnan(metrics.diversity(z[:2], ["a", "b"]))
    assert metrics.accuracy(["a", "b"], ["a", "c"]) == 0.5


def test_replicates_separate_what_one_image_a_caption_cannot():
    """V_W is half the mean squared difference; V_B is unbiased, near the covariance of pairs."""
    rng = np.random.default_rng(2)
    prompts = rng.normal(size=(4000, 3))
    first, second = prompts + 2 * rng.normal(size=(2, 4000, 3))
    captions = [f"caption {i}" for i in range(4000)]
    within, between = moments.separated(first, captions, second, captions)
    np.testing.assert_allclose(within, np.square(first - second).mean(0) / 2)
    means = (first + second) / 2
    np.testing.assert_allclose(between, means.var(axis=0, ddof=1) - within / 2)
    # Standard errors at C = 4000: V_W sqrt(2/C) and sqrt([4 V_B V_W/2 + V_W^2]/C).
    assert np.abs(within - 4).max() < 4 * 4 * np.sqrt(2 / 4000)
    assert np.abs(between - prompts.var(axis=0, ddof=1)).max() < 4 * np.sqrt((8 + 16) / 4000)


def test_the_way_to_the_parts_of_variance_is_recorded():
    rng = np.random.default_rng(3)
    z, more = rng.normal(size=(2, 30, 2))
    captions = [f"caption {i}" for i in range(30)]
    more_of = moments.Replicates(captions, lambda name: more)
    base = moments.Replicates(captions * 2, lambda name: np.tile(more, (2, 1)), of_base=True)
    total = moments.table(1, {"t": z}, captions)
    assert set(total["how"]) == {"total"}
    assert total[["within", "between"]].isna().all(axis=None)
    assert total["variance"].notna().all()
    both = moments.table(1, {"t": z}, captions, more_of)
    assert set(both["how"]) == {"replicates"}
    within, between = moments.separated(z, captions, more, captions)
    np.testing.assert_allclose(both[["within", "between"]], np.stack([within, between], axis=1))
    first = moments.table(0, {"t": z}, captions, base)
    assert set(first["how"]) == {"base model"}
    # Equal images of the base have no variance within: all of the variance is between.
    np.testing.assert_allclose(first["within"], 0, atol=1e-12)
    np.testing.assert_allclose(first["between"], first["variance"])
    families = moments.table(1, {"t": z}, ["a", "b"] * 15, more_of)
    assert set(families["how"]) == {"families"}


def test_a_run_with_resampled_prompts_is_separated_by_replicates_throughout():
    """Prompts drawn twice have two images by chance; the way stays that of the run."""
    rng = np.random.default_rng(4)
    captions = [f"caption {i}" for i in rng.integers(0, 12, size=30)]
    z, more = rng.normal(size=(2, 30, 2))
    again = moments.Replicates(captions, lambda name: more)
    assert set(moments.table(1, {"t": z}, captions, again)["how"]) == {"families"}
    table = moments.table(1, {"t": z}, captions, again, distinct=True)
    assert set(table["how"]) == {"replicates"}
    expected = moments.separated(z, captions, more, captions)
    np.testing.assert_allclose(table[["within", "between"]], np.stack(expected, axis=1))


def test_a_run_with_resampled_prompts_is_separated_by_replicates_throughout():
    """Prompts drawn twice have two images by chance; the way stays that of the run."""
    rng = np.random.default_rng(4)
    captions = [f"caption {i}" for i in rng.integers(0, 12, size=30)]
    z, more = rng.normal(size=(2, 30, 2))
    again = moments.Replicates(captions, lambda name: more)
    assert set(moments.table(1, {"t": z}, captions, again)["how"]) == {"families"}
    table = moments.table(1, {"t": z}, captions, again, distinct=True)
    assert set(table["how"]) == {"replicates"}
    expected = moments.separated(z, captions, more, captions)
    np.testing.assert_allclose(table[["within", "between"]], np.stack(expected, axis=1))
