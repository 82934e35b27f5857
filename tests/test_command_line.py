"""The command line: one sentence and exit code 2 for a mistake, and nothing half-written."""

import errno

import pytest


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("generations = ", "not valid TOML"),
        ("generatons = 3", "did you mean 'generations'"),
        ("[data]\nsize = 0", "'data.size' is 0"),
        ("[data]\nname = 'nowhere'", "neither an embedded set"),
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
    from empirical.chain import loop

    def full(*words):
        raise OSError(errno.ENOSPC, "No space left on device", "run/x.png")

    (tmp_path / "r.toml").write_text("")
    monkeypatch.setattr(loop, "run", full)
    code, _, said = qtm("chain", "run", tmp_path / "r.toml", "--out", tmp_path / "run")
    assert code == 2
    assert "the disk is full ('run/x.png')" in said
    assert "same command again" in said


def test_an_interruption_says_how_to_resume(qtm, tmp_path, monkeypatch):
    from empirical.chain import loop

    def interrupt(*words):
        raise KeyboardInterrupt

    (tmp_path / "r.toml").write_text("")
    monkeypatch.setattr(loop, "run", interrupt)
    code, _, said = qtm("chain", "run", tmp_path / "r.toml", "--out", tmp_path / "run")
    assert code == 130
    assert "same command again" in said


def test_a_fit_of_runs(qtm, tiny_run, tmp_path):
    out = tmp_path / "fit"
    code, said, _ = qtm("fit", tiny_run.folder, "--model", "refit drift", "--out", out,
                        "--posterior", "none")  # fmt: skip
    assert code == 0
    assert "no change" in said
    head = {path.name: path.read_text().splitlines()[0] for path in out.iterdir()}
    assert set(head) == {"comparison.csv", "parameters.csv", "predictions.csv"}
    assert head["comparison.csv"].startswith("model,verdict,log_likelihood,parameters,aicc,weight")
    assert "generations_log_score" in head["comparison.csv"]
    assert head["parameters.csv"] == "model,parameter,estimate,low,high,meaning,k_hat"
    for words, mistake in (
        (("--trait", "charm"), "no trait 'charm', it has classifier, compressed_size"),
        (("--model", "magic"), "no model 'magic'"),
        (("--kept", "embedded"), "either run folders or --kept"),
    ):
        code, _, said = qtm("fit", tiny_run.folder, *words, "--out", tmp_path / "none")
        assert (code, mistake in said) == (2, True), said
        assert not (tmp_path / "none").exists()


def test_a_fit_of_a_series(qtm, tmp_path):
    path = tmp_path / "series.csv"
    rows = "".join(f"{t},{0.5 * t + 0.1 * (-1) ** t},1,50\n" for t in range(8))
    path.write_text("generation,mean,variance,n\n" + rows)
    code, said, _ = qtm("fit", path, "--out", tmp_path / "fit")
    assert code == 0
    assert said.splitlines()[2].split()[:2] == ["directional", "walk"]
    assert (tmp_path / "fit" / "parameters.csv").is_file()


def test_a_forecast_of_a_run(qtm, tiny_run, tmp_path):
    code, said, _ = qtm("forecast", tiny_run.folder, "--generations", 3, "--guidance", 1.5,
                        "--csv", tmp_path / "f.csv")  # fmt: skip
    assert code == 0
    for words in (
        "at CFG 1.5, trait 'latent', averaged over its components: generations 0 to 2 as measured",
        "V_W, within prompts, below half",
        "neutral guidance scale:",
        "fraction of real images",
    ):
        assert words in said
    rows = (tmp_path / "f.csv").read_text().splitlines()
    assert len(rows) == 1 + 3 * (2 + 3 + 1)
    code, _, said = qtm("forecast", tiny_run.folder, "--generations", 0)
    assert (code, "1 generation or more, got 0" in said) == (2, True)


@pytest.mark.slow
def test_a_report_of_a_run(qtm, tiny_run, tmp_path):
    code, out, _ = qtm("report", tiny_run.folder, "--out", tmp_path / "r.html")
    assert (code, out.strip()) == (0, str(tmp_path / "r.html"))
    code, _, _ = qtm("report", tiny_run.folder, tiny_run.folder, "--out", tmp_path / "two.html")
    assert code == 2
    assert not (tmp_path / "two.html").exists()


def test_moments_are_rebuilt(qtm, tiny_run):
    path = tiny_run.folder / "moments.csv"
    before = path.read_bytes()
    path.write_text("spoiled")
    assert qtm("chain", "moments", tiny_run.folder)[0] == 0
    assert path.read_bytes() == before


def test_a_demo_of_a_model_that_is_not_there_is_refused(qtm, tmp_path):
    code, _, complaint = qtm("demo", "--model", "cats", "--out", tmp_path / "demo")
    assert code == 2
    assert "--model is 'cats', there is a demo of digits" in complaint
    assert not (tmp_path / "demo").exists()
