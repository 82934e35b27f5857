"""Kept runs: whole enough to be read as runs, and those of the grid that made them."""

from collections import Counter

import numpy as np
import pytest

from empirical import recipe
from empirical.errors import UserError
from empirical.pipeline.model import EMBEDDED
from empirical.runs import kept
from empirical.runs.record import Run
from empirical.sweeps import grid


@pytest.fixture(scope="module")
def runs():
    return kept.runs("embedded")


# Arms of grids of which not all chains were run, with the number of those that were.
PARTLY = {"emoji": {"baseline": 12, "redifine": 1, "families": 3, "families_redifine": 1}}


@pytest.mark.parametrize("name", kept.names())
def test_they_are_the_chains_of_the_grid_of_that_name(name):
    path = EMBEDDED.parent / "recipes" / "grid" / f"{name}.toml"
    chains, runs = grid.read(path).chains, kept.runs(name)
    if name in PARTLY:
        assert {run.name for run in runs} < set(chains)
        assert Counter(run.name.split(",")[0] for run in runs) == PARTLY[name]
    else:
        assert {run.name for run in runs} == set(chains)
    for run in runs:
        assert recipe.differences(run.recipe, chains[run.name]) == []
        assert len(run.generations()) == run.recipe.generations + 1


def test_chains_that_fits_have_not_seen_begin_with_the_same_images(runs):
    first = lambda run: run.moments().query("generation == 0 and feature == 'latent_pc'")
    known = {run.recipe.seed: first(run) for run in runs if run.name.startswith("baseline")}
    for run in [*kept.runs("neutral"), *kept.runs("remedies")]:
        expected = known[run.recipe.seed]["within"]
        np.testing.assert_allclose(first(run)["within"], expected, rtol=1e-3)


def test_every_one_is_read_as_a_run(runs):
    for run in runs:
        assert len(run.generations()) == 7
        assert run.metrics()[["accuracy", "frechet", "diversity"]].notna().all(axis=None)
    run = runs[0]
    size = run.recipe.data.size
    assert run.generation(3).trait("latent_pc").shape == (size, 8)
    assert run.generation(3).probes().shape == (10, 32, 32, 1)
    assert len(run.generation(3).captions) == size
    assert len(run.generation(3).loss()) == run.recipe.finetune.steps // 10
    assert run.moments()["within"].notna().all()


def test_they_fit_into_a_repository():
    archives = list(kept.FOLDER.glob("*/*.tar.xz"))
    assert len(archives) == sum(len(kept.runs(name)) for name in kept.names())
    # Runs with both draws keep the moments of prompts twice: a third of all bytes for a tenth of
    # the runs. The theory of prompts has no other data. A quarter are drawings in colour, all but
    # one of whose runs are without such draws.
    assert sum(path.stat().st_size for path in archives) < 14e6


def test_keeping_a_run_keeps_its_numbers(tiny_run, tmp_path, monkeypatch):
    first = kept.keep(tiny_run, tmp_path / "kept" / "mine", images=3)
    assert first.read_bytes() == kept.keep(tiny_run, tmp_path / "again", images=3).read_bytes()
    monkeypatch.setattr(kept, "FOLDER", tmp_path / "kept")
    (run,) = kept.runs("mine")
    assert (run.name, run.recipe) == (tiny_run.name, tiny_run.recipe)
    ours, theirs = run.moments(), tiny_run.moments()
    columns = ["generation", "feature", "component"]
    both = ours.merge(theirs, on=columns, suffixes=("", "_whole"))
    plain = both[~both["feature"].isin(["latent", "classifier"])]
    for name in ("mean", "within", "between"):
        np.testing.assert_allclose(plain[name], plain[f"{name}_whole"], rtol=1e-5)
    latent = theirs[(theirs["feature"] == "latent") & (theirs["generation"] == 2)]["within"].mean()
    mean = ours[(ours["feature"] == "latent") & (ours["generation"] == 2)]["within"].item()
    assert mean == pytest.approx(latent, rel=1e-5)
    np.testing.assert_allclose(
        run.generation(1).trait("latent_pc"), tiny_run.generation(1).trait("latent_pc"), rtol=1e-3
    )
    seen = run.generation(2).images(range(3))
    assert (seen == tiny_run.generation(2).images(range(3))).all()
    assert (run.generation(1).probes() == tiny_run.generation(1).probes()[:10]).all()


def test_what_is_not_there_or_not_finished_is_said(tiny_run, tmp_path):
    with pytest.raises(UserError, match="no kept runs 'x', there are embedded"):
        kept.runs("x")
    unfinished = Run(tmp_path / "run")
    unfinished.folder.mkdir()
    (unfinished.folder / "recipe.toml").write_bytes((tiny_run.folder / "recipe.toml").read_bytes())
    with pytest.raises(UserError, match="only finished runs can be kept"):
        kept.keep(unfinished, tmp_path)
