"""Series derived from a stored run."""

import json

import numpy as np
import pytest

from analysis.series import _degrees_of_freedom, series
from empirical import files, recipe
from empirical.errors import UserError
from empirical.records import Run


@pytest.fixture
def run(tmp_path):
    """A run on disk with a trait made of numbers, three families of four, six and eight images."""
    rng = np.random.default_rng(0)
    captions = ["a"] * 4 + ["b"] * 6 + ["c"] * 8
    files.write_text(tmp_path / "recipe.toml", recipe.dump(recipe.parse({"generations": 2})))
    for number in range(3):
        generation = Run(tmp_path).generation(number)
        rows = [{"file_name": f"{i}.png", "text": c} for i, c in enumerate(captions)]
        files.write_json_lines(generation.folder / "images" / "metadata.jsonl", rows)
        z = 7 + 3 * rng.normal(size=(18, 3)) + number
        z[:, 2] = 1.5
        files.write_array(generation.folder / "features" / "t.npy", z)
        files.write_array(generation.folder / "features" / "still.npy", np.ones((18, 1)))
        files.write_json(generation.folder / "done.json", {})
    return Run(tmp_path)


def test_a_series_leads_back_to_the_features(run):
    s = series(run, "t")
    assert s.generations == 2
    np.testing.assert_array_equal(s.sizes, [4, 6, 8])
    assert s.means.shape == (3, 3, 2)  # the third component does not vary and is left out
    z = run.generation(1).trait("t")[:, :2]
    np.testing.assert_allclose(s.centre + s.scale * s.means[1, 0], z[:4].mean(axis=0))
    groups = (z[:4], z[4:10], z[10:])
    pooled = sum(np.square(g - g.mean(0)).sum(0) for g in groups) / 15
    np.testing.assert_allclose(s.within[1] * s.scale**2, pooled)
    first = run.generation(0).trait("t")[:, :2]
    np.testing.assert_allclose(s.scale, first.std(axis=0))
    assert np.all(s.dof <= 15)
    assert s.restarts
    assert json.loads(json.dumps(s.run)) == run.name


def test_heavy_tails_cost_degrees_of_freedom():
    """Var(s^2) = 2 V^2/dof: a Laplace trait, of kurtosis 6, has 2/5 of a Gaussian's."""
    rng = np.random.default_rng(1)
    n = 200_000
    rest = np.stack([rng.normal(size=n), rng.laplace(size=n), rng.uniform(size=n) - 0.5], axis=1)
    dof = _degrees_of_freedom(rest, n - 10)
    np.testing.assert_allclose(dof[:2] / (n - 10), [1, 0.4], rtol=0.03)
    assert dof[2] == n - 10  # never more than there are


def test_components_can_be_chosen(run):
    assert series(run, "t", [1]).means.shape == (3, 3, 1)
    with pytest.raises(UserError, match="no component 9, allowed are 0 to 2"):
        series(run, "t", [9])


def test_what_cannot_be_a_series_is_said(run):
    with pytest.raises(UserError, match="no trait 'u', it has still, t"):
        series(run, "u")
    with pytest.raises(UserError, match="does not vary"):
        series(run, "still")
    (run.generation(1).folder / "done.json").unlink()
    with pytest.raises(UserError, match="no generation after generation 0"):
        series(run, "t")
