"""`qtm scan`: from a recipe to tables, a figure and the neutral scale in one line."""

import re

import pandas as pd
import pytest

from empirical import recipe
from tests.helpers.tiny_chain import tiny


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "tiny.toml"
    path.write_text(recipe.dump(tiny(data={"size": 40})))
    return path


def test_a_recipe_is_scanned(qtm, written, tmp_path):
    pytest.importorskip("torch", reason="a scan needs torch")
    out = tmp_path / "scan"
    code, printed, complaint = qtm("scan", written, "--out", out, "--scales", "1,2,4")
    assert code == 0, complaint
    place, line = printed.splitlines()
    assert place == str(out)
    assert re.match(r"neutral guidance scale: ([\d.]+ \(90 %: .*\)|none between 1 and 4)", line)
    table = pd.read_csv(out / "scan.csv")
    assert set(table["scale"].dropna()) == {1.0, 2.0, 4.0}
    assert {"latent", "sharpness", "images"} <= set(table["feature"])
    assert {path.suffix for path in out.glob("scan.*")} == {".csv", ".json", ".pdf", ".png", ".txt"}
    # It is complete: the same command draws nothing again, and prints the same.
    again, reprinted, _ = qtm("scan", written, "--out", out, "--scales", "1,2,4")
    assert (again, reprinted) == (0, printed)


def test_a_plan_says_whether_it_finetunes(qtm, written, tiny_run, tmp_path):
    pytest.importorskip("torch", reason="an estimate needs torch")
    out = tmp_path / "scan"
    code, printed, complaint = qtm("scan", written, "--out", out, "--scales", "1,2", "--dry-run")
    assert code == 0, complaint
    first, second, third, *_ = printed.splitlines()
    assert first == f"{out}: generation 1 at 1, 2"
    assert second.startswith(
        "finetuning first: 3 steps of 8 images (lora), on 40 real images of digits, about "
    )
    assert third == "80 images in 2 steps of ddim"
    assert not out.exists()
    code, printed, complaint = qtm("scan", tiny_run.folder, "--out", out, "--dry-run")
    assert code == 0, complaint
    first, second, *_ = printed.splitlines()
    assert first.startswith(f"{out}: 2 generations at 1, 1.25")
    assert second == f"no finetuning: the weights are those of '{tiny_run.folder}'"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--scales", "1,much"], "--scales is '1,much', it must be numbers separated by commas"),
        (["--scales", "nan"], "they must be finite numbers"),
        (["--generation", "2"], "generations are those of a run"),
    ],
)
def test_wrong_words_are_refused_in_a_sentence(qtm, written, tmp_path, words, sentence):
    code, _, complaint = qtm("scan", written, "--out", tmp_path / "scan", *words)
    assert code == 2
    assert sentence in complaint
    assert not (tmp_path / "scan").exists()
