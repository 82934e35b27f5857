"""``qtm chain`` on the command line: plans, sweeps, status, exports."""

import pytest
import tomli_w
from filelock import FileLock

from empirical.commands.tables import amount, duration
from tests.helpers.fresh_process import run_without_chain_libraries
from tests.helpers.sweep_pools import Here
from tests.helpers.tiny_chain import TINY


@pytest.fixture
def here(monkeypatch):
    """Sweeps run in this process."""
    from empirical.sweeps import local

    monkeypatch.setattr(local, "LocalPool", lambda slots: Here())


@pytest.fixture
def grid(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(tomli_w.dumps({**TINY, "sweep": {"seed": [0, 1]}}))
    return path


def test_a_sweep_its_plan_and_its_status(qtm, here, grid, tiny_run, tmp_path):
    out = tmp_path / "s"
    code, printed, _ = qtm("chain", "sweep", grid, "--out", out, "--dry-run")
    assert code == 0
    assert "2 chains, 0 finished" in printed
    assert [line.split()[:2] for line in printed.splitlines()[1:3]] == [
        ["seed=0", "3"],
        ["seed=1", "3"],
    ]
    assert not out.exists()
    assert qtm("chain", "sweep", grid, "--out", out)[:2] == (0, f"{out}\n")
    code, printed, _ = qtm("chain", "status", out)
    assert code == 0
    head, *rows = [line.split() for line in printed.splitlines()]
    assert head == ["chain", "generation", "state", "last", "update", "error"]
    assert [row[:5] for row in rows] == [[f"seed={i}", "2", "/", "2", "done"] for i in (0, 1)]
    code, printed, _ = qtm("chain", "sweep", grid, "--out", out, "--dry-run")
    assert "2 chains, 2 finished" in printed


def test_a_chain_that_fails_is_said_and_is_exit_code_1(qtm, here, grid, tmp_path):
    out = tmp_path / "s"
    (out / "seed=0").mkdir(parents=True)
    (out / "seed=1").mkdir()
    (out / "grid.toml").write_text(grid.read_text())
    with FileLock(out / "seed=0" / ".lock"), FileLock(out / "seed=1" / ".lock"):
        code, _, output = qtm("chain", "sweep", grid, "--out", out)
    assert code == 1
    for name in ("seed=0", "seed=1"):
        sentence = f"another process is at work on the run '{out / name}'"
        assert f"qtm: the chain '{name}' failed: {sentence}" in output
        assert (out / f"{name}.error.txt").read_text() == sentence + "\n"
    code, output, _ = qtm("chain", "status", out)
    assert output.count("failed") == 2
    assert "another process" in output


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("[sweep]\nsed = [1]", [], "did you mean 'seed'"),
        ("", ["--device", "tpu"], "'tpu', allowed here are cpu"),
        ("", ["--scheduler", "nonsense://x"], "no Dask scheduler answers"),
        ("", ["--scheduler", "tcp://x", "--workers", "2"], "not for --scheduler"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(qtm, tmp_path, text, options, words):
    (tmp_path / "g.toml").write_text(text)
    code, _, output = qtm("chain", "sweep", tmp_path / "g.toml", "--out", tmp_path / "s", *options)
    assert code == 2
    assert words in output
    assert len(output.strip().splitlines()) == 1
    assert not (tmp_path / "s").exists()


def test_the_plan_of_a_chain(qtm, tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(tomli_w.dumps({**TINY, "remedy": {"name": "condition_drop"}}))
    code, printed, _ = qtm("chain", "run", recipe, "--out", tmp_path / "run", "--dry-run")
    assert code == 0
    for words in (
        "3 of 3 generations",
        "3 steps of 8 images",
        "remedy: condition_drop",
        "\ntime: ",
    ):
        assert words in printed
    assert list(tmp_path.iterdir()) == [recipe]


def test_a_tracker_that_is_not_there(qtm, tmp_path):
    (tmp_path / "r.toml").write_text("")
    words = ("chain", "run", tmp_path / "r.toml", "--out", tmp_path / "run", "--tracker", "none")
    code, _, output = qtm(*words)
    assert code == 2
    assert "no tracker 'none'" in output
    assert not (tmp_path / "run").exists()


def test_an_adapter_for_kohya(qtm, tiny_run, tmp_path):
    from safetensors.torch import load_file

    from empirical.pipeline import adapters

    words = ("chain", "export-kohya", tiny_run.folder, "--out", tmp_path / "k.safetensors")
    assert qtm(*words, "--generation", 2)[0] == 0
    theirs = load_file(tmp_path / "k.safetensors")
    ours = adapters.read(tiny_run.generation(2).folder / "lora" / adapters.WEIGHTS)
    assert len(theirs) == 3 * len(ours) // 2
    assert all(key.startswith("lora_unet_") for key in theirs)
    code, _, output = qtm(*words, "--generation", 3)
    assert code == 2
    assert "no generation 3, the last is 2" in output


def test_amounts_as_readers_say_them():
    assert [duration(s) for s in (0.4, 59, 60, 200, 3600, 18600, 187200)] == [
        "0 s", "59 s", "1 min", "3 min 20 s", "1 h", "5 h 10 min", "2 d 4 h",
    ]  # fmt: skip
    assert [amount(size) for size in (1, 44_400_000, 12_340_000_000)] == [
        "0.1 MB", "44.4 MB", "12.3 GB",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["status", "sweep"])
def test_status_and_bad_grids_need_no_torch(command, grid, tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "grid.toml").write_text(grid.read_text())
    if command == "sweep":
        grid.write_text("sed = 1")
    words = {"status": ["status", "DIR"], "sweep": ["sweep", str(grid), "--out", "DIR"]}[command]
    result = run_without_chain_libraries(
        """
        sys.argv = ["qtm", "chain", *sys.argv[2:]]
        from qtm.__main__ import main
        main()
        """,
        "",
        *(str(tmp_path / "s") if word == "DIR" else word for word in words),
    )
    if command == "status":
        assert result.stdout.count("waiting") == 2, result.stderr
    else:
        assert (result.returncode, "did you mean 'seed'" in result.stderr) == (2, True)
