"""Realised heritability of lines whose inheritance is known."""

import numpy as np
import pytest

from analysis.selection.realised import realised_heritability
from empirical import files, recipe
from empirical.errors import UserError
from empirical.runs import kept
from empirical.runs.record import Run
from tests.helpers.tiny_chain import tiny

H2, N = 0.7, 400
CAPTIONS = [f"prompt {i % 4}" for i in range(N)]


def line(folder, keep, seed):
    """Write a run of two generations: the second inherits H2 of what was selected of the first."""
    first = np.random.default_rng(0).normal(size=N)
    labels = np.array(CAPTIONS)
    chosen = np.zeros(N, bool)
    for caption in set(CAPTIONS):
        members = np.flatnonzero(labels == caption)
        ranked = members[np.argsort(first[members])]
        half = len(ranked) // 2
        chosen[{"low": ranked[:half], "high": ranked[half:], "all": ranked}[keep]] = True
    files.write_text(folder / "recipe.toml", recipe.dump(tiny(data={"size": N})))
    run = Run(folder)
    rng = np.random.default_rng(seed)
    shift = H2 * (first[chosen].mean() - first.mean())
    for number, values in enumerate((first, first, first.mean() + shift + rng.normal(size=N))):
        generation = run.generation(number)
        generation.write("t", values[:, None])
        rows = [{"file_name": f"{i:05d}.png", "text": text} for i, text in enumerate(CAPTIONS)]
        files.write_json_lines(generation.folder / "images" / "metadata.jsonl", rows)
        draw = generation.draw("unguided")
        draw.write("t", values[:, None])
        draw.finish(CAPTIONS, [None] * N)
        learnt = np.flatnonzero(chosen) if number == 2 else range(N)
        parents = [
            {"generation": number - 1, "text": CAPTIONS[i],
             "file_name": f"gen_{max(number - 1, 0):03d}/images/{i:05d}.png"} for i in learnt
        ]  # fmt: skip
        if number:
            files.write_json_lines(generation.folder / "training.jsonl", parents)
        files.write_json(generation.folder / "done.json", {})
    return run


def test_the_response_to_a_known_selection(tmp_path):
    runs = [line(tmp_path / keep, keep, i) for i, keep in enumerate(("high", "low", "all"))]
    found = {e.quantity: e for e in realised_heritability(*runs, "t")}
    # Half of a normal distribution lies sqrt(2/pi) above its mean.
    assert found["S_high"].value == pytest.approx(np.sqrt(2 / np.pi), abs=0.1)
    assert found["S_high"].value == pytest.approx(-found["S_low"].value, rel=0.1)
    assert np.isnan(found["S_high"].low)
    distance = found["S_high"].value - found["S_low"].value
    error = np.sqrt(2 / N) / distance
    assert found["heritability"].value == pytest.approx(H2, abs=4 * error)
    half = (found["heritability"].high - found["heritability"].low) / 2
    assert half == pytest.approx(1.645 * error, rel=0.1)
    for name in ("heritability_high", "heritability_low"):
        assert found[name].low < found[name].value < found[name].high


def test_lines_that_were_not_selected_have_none(tmp_path):
    runs = [line(tmp_path / str(i), "all", i) for i in range(3)]
    with pytest.raises(UserError, match="nothing was selected"):
        realised_heritability(*runs, "t")
    with pytest.raises(UserError, match="has no unguided images of generation 5"):
        realised_heritability(*runs, "t", generation=5)
    with pytest.raises(UserError, match="has no trait 'u'"):
        realised_heritability(*runs, "u")


def test_the_kept_lines_pass_on_nearly_all_of_their_brightness():
    """Half of the images of every prompt were selected, in both directions, with two seeds."""
    runs = {run.name: run for run in kept.runs("heritability")}
    for seed in (0, 1):
        lines = [runs[f"{arm},seed={seed}"] for arm in ("highest", "lowest", "control")]
        found = {e.quantity: e for e in realised_heritability(*lines, "pixel_mean")}
        assert found["S_high"].value == pytest.approx(-found["S_low"].value, rel=0.02)
        assert 0.85 < found["heritability"].low < found["heritability"].value
        assert 0.95 < found["heritability"].high < 1.1
