"""``qtm fit`` of a file: what its options mean for a series, and what they do not."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

HEAD = "generation,mean,variance,n\n"
ROWS = [(t, 0.5 * t + 0.2 * (-1) ** t, 1 + 0.1 * (t % 3), 40 + t) for t in range(9)]


@pytest.fixture
def path(tmp_path):
    """A series with a trend."""
    path = tmp_path / "series.csv"
    path.write_text(HEAD + "".join(",".join(map(str, row)) + "\n" for row in ROWS))
    return path


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_tables_of_a_series(qtm, path, tmp_path):
    code, said, complaints = qtm("fit", path, "--out", tmp_path / "fit")
    assert (code, complaints) == (0, "")
    assert "9 samples, times 0 to 8, n 40 to 48, variances pooled; Bartlett's test" in said
    table = rows(tmp_path / "fit" / "comparison.csv")
    assert list(table[0]) == [
        "model", "kind", "log_likelihood", "parameters", "aicc", "weight", "log_likelihood_means",
        "aicc_means", "log_score", "mean_error", "variance_error", "coverage", "warnings",
    ]  # fmt: skip
    walks = [row for row in table if row["kind"] == "walk"]
    assert min(walks, key=lambda row: float(row["aicc_means"]))["model"] == "directional walk"
    assert (
        "alpha is at its bound" in {r["model"]: r["warnings"] for r in table}["Ornstein-Uhlenbeck"]
    )
    assert "Ornstein-Uhlenbeck: alpha is at its bound" in said
    estimates = {
        (row["model"], row["parameter"]): row for row in rows(tmp_path / "fit" / "parameters.csv")
    }
    slope = estimates["directional walk", "step_mean"]
    assert float(slope["estimate"]) == pytest.approx(0.5, abs=0.05)
    assert slope["at_bound"] == "False"
    assert float(slope["low"]) < 0.5 < float(slope["high"])
    # Means rise by a constant step: so they do under directional selection, b V a generation.
    gradient = estimates["directional", "gradient"]
    assert float(gradient["low"]) < 0.5 < float(gradient["high"])
    predicted = rows(tmp_path / "fit" / "predictions.csv")
    assert {row["kind"] for row in predicted} == {"fitted", "held out"}
    # Five samples are too few for Ornstein-Uhlenbeck, whose half is left out.
    assert {row["model"] for row in predicted} == {row["model"] for row in table} - {
        "Ornstein-Uhlenbeck"
    }
    assert (tmp_path / "fit" / "posterior.nc").stat().st_size > 0
    assert {p.name for p in (tmp_path / "fit").glob("series.*")} == {
        "series.pdf", "series.png", "series.txt"
    }  # fmt: skip


def test_models_and_pooling_are_chosen(qtm, path):
    code, said, _ = qtm("fit", path, "--model", "stasis", "--model", "random walk")
    assert code == 0
    assert {"stasis", "random walk"} == {m for m in ("stasis", "random walk") if m in said}
    assert "Ornstein" not in said
    assert "directional" not in said
    code, apart, _ = qtm("fit", path, "--model", "stasis", "--no-pool")
    assert code == 0
    assert "variances each sample's own" in apart
    code, pooled, _ = qtm("fit", path, "--model", "stasis", "--pool")
    assert apart.splitlines()[2] != pooled.splitlines()[2]


@pytest.mark.slow
def test_a_life_cycle_is_chosen_by_name(qtm, path, tmp_path):
    code, said, _ = qtm("fit", path, "--model", "neutral", "--out", tmp_path / "fit")
    assert code == 0
    assert "walk" not in said
    assert "mutation_variance" in said
    code, said, _ = qtm("fit", path, "--model", "neutral", "--population-size", "50")
    assert code == 0
    assert "population_size" not in said
    code, said, _ = qtm("fit", path, "--model", "neutral", "--population-size", "fit")
    assert code == 0
    assert "population_size" in said


def test_times_that_are_no_generations_leave_walks(qtm, path):
    path.write_text(HEAD + "".join(f"{t / 4},{m},{v},{n}\n" for t, m, v, n in ROWS))
    code, said, _ = qtm("fit", path)
    assert code == 0
    assert "no life cycle was fitted: life cycles need times in whole generations" in said


def test_a_measured_trait_of_a_run_is_a_series(qtm, tmp_path):
    path = tmp_path / "moments.csv"
    path.write_text(
        "generation,feature,component,n,mean,variance,within,between\n"
        + "".join(
            f"{t},{trait},{c},{n},{m + c},{v},1,1\n"
            for t, m, v, n in ROWS
            for trait, c in (("latent", 0), ("latent", 1), ("sharpness", 0))
        )
    )
    code, said, _ = qtm("fit", path, "--trait", "latent", "--component", 1, "--model", "stasis")
    assert code == 0
    assert "theta 3.02" in said
    code, _, said = qtm("fit", path)
    assert code == 2
    assert "more than one trait, choose one (--trait): latent, sharpness" in said
    code, _, said = qtm("fit", path, "--trait", "latent", "--component", 0, "--component", 1)
    assert code == 2
    assert "--component is given more than once" in said


def test_the_order_of_time_is_said(qtm, tmp_path):
    path = tmp_path / "ages.csv"
    path.write_text(
        HEAD + "".join(f"{20 - t},{m},{v},{n}\n" for t, m, v, n in (*ROWS[4:], *ROWS[:4]))
    )
    code, _, said = qtm("fit", path)
    assert code == 2
    assert "--time rising, or falling for ages" in said
    step = {}
    for order, sign in (("falling", 1), ("rising", -1)):
        code, said, _ = qtm("fit", path, "--time", order, "--model", "directional walk")
        assert code == 0
        step[order] = sign * float(said.split("step_mean ")[1].split(",")[0])
    assert step["falling"] == pytest.approx(0.5, abs=0.05)
    assert step["rising"] == pytest.approx(step["falling"], abs=0.01)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model", "refit drift"], "no model 'refit drift' of series, there are random walk, "),
        (["--population-size", "two"], "--population-size is 'two', it must be a number greater"),
        (["--population-size", "1"], "population size is 1, it must be greater than 2"),
        (["--trait", "latent"], "no column 'feature', so trait latent cannot be chosen"),
        (["--component", "0"], "no column 'component', so component 0 cannot be chosen"),
        (["--posterior", "stasis"], "no posterior of 'stasis', there are those of neutral"),
        (["--thin"], "--thin applies to runs"),
        (["--kept", "embedded"], "is fitted alone, without --kept"),
        (["other"], "is fitted alone, without other series or runs"),
        (["--time", "backwards"], "'backwards', it must be auto, rising, falling"),
    ],
)
def test_options_that_do_not_hold_are_refused(qtm, path, tmp_path, words, sentence):
    code, said, complaints = qtm("fit", path, *words, "--out", tmp_path / "fit")
    assert (code, said) == (2, "")
    assert sentence in complaints
    assert len(complaints.strip().splitlines()) == 1
    assert not (tmp_path / "fit").exists()


def test_options_of_series_are_refused_for_runs(qtm, tmp_path):
    for word in (["--no-pool"], ["--time", "rising"], ["--population-size", "9"]):
        code, _, complaints = qtm("fit", "--kept", "embedded", *word, "--out", tmp_path / "fit")
        assert code == 2
        assert f"{word[0]} applies to a file with a series, not to runs" in complaints


def test_a_missing_or_short_series_is_said(qtm, path, tmp_path):
    code, _, said = qtm("fit", tmp_path / "none.csv")
    assert code == 2
    assert "none.csv' cannot be read: No such file" in said
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:4]))
    code, out, said = qtm("fit", path, "--out", tmp_path / "fit")
    assert (code, out) == (2, "")
    assert "the series has 3 samples, too few to compare models" in said
    assert not (tmp_path / "fit").exists()


def test_a_long_series_shows_progress(path):
    path.write_text(HEAD + "".join(f"{t},{t % 7},2,9\n" for t in range(400)))
    words = [sys.executable, "-m", "qtm", "fit", path, "--model", "Ornstein-Uhlenbeck"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TQDM_DELAY": "0"},
        check=True,
    )
    assert "fitting: 100 %" in done.stderr


def test_what_cannot_be_written_is_said_before_a_fit(qtm, path, tmp_path):
    out = tmp_path / "fit"
    words = ["--model", "neutral", "--posterior", "stabilizing"]
    code, _, complaints = qtm("fit", path, *words, "--out", out)
    assert code == 2
    assert "no posterior of 'stabilizing' among the models to be fitted: neutral" in complaints
    assert not out.exists()
    out.write_text("notes")
    code, _, complaints = qtm("fit", path, "--model", "neutral", "--out", out)
    assert code == 2
    assert "it is a file, not a folder" in complaints
    assert out.read_text() == "notes"
