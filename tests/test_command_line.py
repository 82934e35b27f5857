"""The command line: one sentence and exit code 2 for a mistake, and nothing half-written."""

import errno
import sys

import pytest

from qtm.__main__ import main


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["qtm", *map(str, words)])
    try:
        main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    streams = capsys.readouterr()
    return code, streams.out, streams.err


@pytest.fixture
def qtm(monkeypatch, capsys):
    return lambda *words: call(monkeypatch, capsys, *words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("generations = ", "not valid TOML"),
        ("generatons = 3", "did you mean 'generations'"),
        ("[data]\nsize = 0", "'data.size' is 0"),
        ("[data]\nname = 'nowhere'", "neither 'digits' nor a folder"),
        ("[model]\nname = 'MODEL'", "not a diffusers pipeline"),
    ],
)
def test_a_mistake_in_a_recipe(qtm, tmp_path, text, words):
    (tmp_path / "model").mkdir()
    (tmp_path / "r.toml").write_text(text.replace("MODEL", str(tmp_path / "model")))
    code, _, said = qtm("chain", "run", tmp_path / "r.toml", "--out", tmp_path / "run")
    assert code == 2
    assert words in said
    assert len(said.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["chain", "run", "none.toml", "--out", "run"],
        ["chain", "moments", "none"],
        ["fit", "none"],
        ["report", "none"],
        ["chain", "run"],
        ["nonsense"],
        ["pretrain", "digits", "--seed", "-1"],
    ],
)
def test_a_mistake_in_a_command(qtm, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    code, _, said = qtm(*words)
    assert code == 2
    assert "Traceback" not in said
    assert said.strip()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said(qtm, tmp_path, monkeypatch):
    from empirical import chain

    def full(*words):
        raise OSError(errno.ENOSPC, "No space left on device", "run/x.png")

    (tmp_path / "r.toml").write_text("")
    monkeypatch.setattr(chain, "run", full)
    code, _, said = qtm("chain", "run", tmp_path / "r.toml", "--out", tmp_path / "run")
    assert code == 2
    assert "the disk is full ('run/x.png')" in said
    assert "same command again" in said


def test_an_interruption_says_how_to_go_on(qtm, tmp_path, monkeypatch):
    from empirical import chain

    def interrupt(*words):
        raise KeyboardInterrupt

    (tmp_path / "r.toml").write_text("")
    monkeypatch.setattr(chain, "run", interrupt)
    code, _, said = qtm("chain", "run", tmp_path / "r.toml", "--out", tmp_path / "run")
    assert code == 130
    assert "same command again" in said


def test_fit_and_report_of_a_run(qtm, tiny_run, tmp_path):
    code, out, _ = qtm("fit", tiny_run.folder, "--trait", "pixel_mean", "--csv", tmp_path / "f.csv")
    assert code == 0
    assert "guidance" in out
    header = (tmp_path / "f.csv").read_text().splitlines()[0]
    assert header.startswith("run,trait,theory,parameters")
    code, out, _ = qtm("report", tiny_run.folder, "--out", tmp_path / "r.html")
    assert (code, out.strip()) == (0, str(tmp_path / "r.html"))
    code, _, said = qtm("fit", tiny_run.folder, "--trait", "charm")
    assert code == 2
    assert "no trait 'charm', it has classifier, compressed_size" in said
    code, _, said = qtm("report", tiny_run.folder, tiny_run.folder, "--out", tmp_path / "two.html")
    assert code == 2
    assert not (tmp_path / "two.html").exists()


def test_moments_are_rebuilt(qtm, tiny_run):
    path = tiny_run.folder / "moments.csv"
    before = path.read_bytes()
    path.write_text("spoiled")
    assert qtm("chain", "moments", tiny_run.folder)[0] == 0
    assert path.read_bytes() == before
