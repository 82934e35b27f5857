"""`qtm simulate`, `qtm sweep`, `qtm forms`: the library's results; one sentence for a mistake."""

import jax.random as jr
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import qtm as theory


def test_simulate_is_evolve(qtm, tmp_path):
    code, out, _ = qtm(
        "simulate", "--selection", "stabilizing optimum={start=0.5, slope=0.1} width2=4",
        "--mutation", "gaussian_mutation variance=0.1", "--inheritance",
        "Regression heritability=0.8 base_mean=0 base_variance=1", "--size", 50,
        "--state", "Moments mean=0.2 variance=0.8", "--generations", 6, "--seed", 3,
        "--csv", tmp_path / "path.csv", "--plot", tmp_path / "path.png",
    )  # fmt: skip
    cycle = theory.LifeCycle(
        theory.Regression(0.8, 0.0, 1.0),
        theory.Stabilizing(lambda t: 0.5 + 0.1 * t, 4.0),
        theory.GaussianMutation(0.1),
        size=50,
    )
    path = theory.evolve(cycle, theory.Moments(0.2, 0.8), 6, key=jr.fold_in(jr.key(3), 0))
    assert code == 0
    assert out.split()[:3] == ["generation", "mean", "variance"]
    table = pd.read_csv(tmp_path / "path.csv")
    np.testing.assert_allclose(table["mean"], path.mean, rtol=1e-12)
    np.testing.assert_allclose(table["variance"], path.variance, rtol=1e-12)
    assert (tmp_path / "path.png").read_bytes().startswith(b"\x89PNG")


def test_simulate_guidance_and_individuals_from_a_file(qtm, tmp_path):
    (tmp_path / "m.toml").write_text(
        'seed = 1\n[state]\nform = "individuals"\nsize = 30\n'
        "[selection]\nform = 'Guidance'\nscale = 2.0\nunconditional = { mean = 0.5, variance = 2 }"
    )
    code, out, _ = qtm("simulate", tmp_path / "m.toml", "--generations", 2)
    start = theory.Individuals.normal(jr.key(1), size=30)
    cycle = theory.LifeCycle(selection=theory.Guidance(2.0, theory.Moments(0.5, 2.0)))
    path = theory.evolve(cycle, start, 2, key=jr.fold_in(jr.key(1), 0))
    assert code == 0
    last = out.strip().splitlines()[-1].split()
    np.testing.assert_allclose(float(last[2]), path.variance[-1], atol=1e-6)


def written(value):
    """A parameter of an example as the command line takes it."""
    if isinstance(value, theory.Moments):
        return f"{{mean={float(value.mean)},variance={float(value.variance)}}}"
    return value if isinstance(value, str) else f"{value}"


@pytest.mark.parametrize("part", ["selection", "mutation", "inheritance"])
def test_every_form_is_listed_and_can_be_simulated(qtm, part):
    from qtm.commands.forms import forms

    listed = qtm("forms")[1]
    known = forms(part)
    assert len(known) > 1
    for name, form in known.items():
        assert f"  {name}" in listed
        example = getattr(theory, name).examples()[0]
        words = [f"{key}={written(getattr(example, key))}" for key in form.required]
        code, _, error = qtm(
            "simulate", f"--{part}", " ".join([name, *words]), "--generations", 1, "--size", 20
        )
        assert code == 0, f"{name}: {error}"


GRID = """
generations = 4
seed = 2
replicates = 2
size = [10, 20]
[selection]
form = "Stabilizing"
optimum = 1.0
width2 = { from = 1, to = 100, count = 3, spacing = "log" }
[mutation]
form = "GaussianMutation"
variance = [0.1, 0.2]
[state]
mean = [0.0, 0.5]
"""


@pytest.mark.parametrize("kind", ["zarr", "nc"])
def test_sweep_is_qtm_sweep(qtm, tmp_path, kind):
    (tmp_path / "g.toml").write_text(GRID)
    path = tmp_path / f"out.{kind}"
    for _ in range(2):
        code, out, error = qtm("sweep", tmp_path / "g.toml", "--out", path)
        assert (code, out.strip()) == (0, str(path)), error
    opened = xr.open_zarr(path, consolidated=False) if kind == "zarr" else xr.open_dataset(path)
    point = opened.sel(
        selection_width2=10, mutation_variance=0.2, size=20, state_mean=0.5, replicate=1
    )
    assert opened["mean"].shape == (3, 2, 2, 2, 2)
    order = ["selection_width2", "mutation_variance", "size", "state_mean", "replicate"]
    assert list(opened["mean"].dims) == order
    cycle = theory.LifeCycle(
        selection=theory.Stabilizing(1.0, 10.0), mutation=theory.GaussianMutation(0.2), size=20
    )
    number = np.ravel_multi_index((1, 1, 1, 1), (3, 2, 2, 2))
    key = jr.fold_in(jr.fold_in(jr.fold_in(jr.key(2), 0), 1), number)
    expected = theory.evolve(cycle, theory.Moments(0.5, 1.0), 4, key=key)
    np.testing.assert_allclose(point["variance"], expected.variance[-1], rtol=1e-12)


def test_undefined_populations_are_counted(qtm, tmp_path):
    (tmp_path / "g.toml").write_text(
        "generations = 1\n[selection]\nform = 'Guidance'\noperator = 'tilt'\n"
        "scale = [0.5, -3.0, 2.0]\nunconditional = { mean = 0, variance = 0.2 }"
    )
    code, _, error = qtm("sweep", tmp_path / "g.toml", "--out", tmp_path / "o.zarr")
    assert code == 0
    assert "1 of 3 entries are undefined" in error


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Truncaton fraction=0.2", "did you mean 'Truncation'?"),
        ("Truncation", "Truncation needs the key 'fraction'"),
        ("Truncation fracton=0.2", "no 'fracton' (did you mean 'fraction'?)"),
        ("Truncation fraction=2", "fraction must be in (0, 1], got 2"),
        ("Truncation fraction", "the word 'fraction' must be key=value"),
        ("Truncation fraction=half", "fraction = 'half', it must be a number"),
        ("Truncation fraction=[0.1,0.2]", "'selection_fraction' has several values"),
        ("Guidance scale=2 unconditional={mean=0}", "must have mean and variance"),
        ("Guidance scale=2 unconditional=3", "Guidance cannot be made of"),
        ("Guidance scale=-5 unconditional={mean=0,variance=0.1} operator=tilt", "tilt precision"),
    ],
)
def test_a_mistake_in_simulate(qtm, line, words):
    code, _, error = qtm("simulate", "--selection", line)
    assert code == 2
    assert words in error
    assert len(error.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("generatons = 3", "did you mean 'generations'"),
        ("generations = -1", "'generations' is -1"),
        ("size = [10, 0]", "'size' is [10, 0], it must be a whole number of at least 1"),
        ("replicates = 3", "the key 'seed' is missing"),
        ("[state]\nform = 'Individuals'", "the key 'seed' is missing"),
        ("[selection]\nform = 'Truncation'\nfraction = [0.5, 'x']", "it must be a number"),
        ("[selection]\nform = 'Truncation'\nfraction = []", "selection_fraction"),
        ("[selection]\nfraction = 0.5", "there is no selection 'None'"),
        ("[mutation]\nform = 'GaussianMutation'\nvariance = {from=1,to=2}", "from, to, count"),
        ("[mutation]\nform = 'GaussianMutation'\nvariance = {from=0,to=2,count=3,spacing='log'}",
         "greater than 0"),
        ("generations = ", "not valid TOML"),
        ("[mutation]\nform = 'GaussianMutation'\nvariance = [1, 2, -1]", "at least 0, got -1"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_grid(qtm, tmp_path, text, words):
    (tmp_path / "g.toml").write_text(text)
    code, _, error = qtm("sweep", tmp_path / "g.toml", "--out", tmp_path / "o.zarr")
    assert code == 2
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "o.zarr").exists()


def test_other_mistakes_of_sweep(qtm, tmp_path, monkeypatch):
    monkeypatch.setattr("qtm.sweeps.cluster._PATIENCE", "1s")
    (tmp_path / "g.toml").write_text("[mutation]\nform = 'GaussianMutation'\nvariance = [0.1]")
    code, _, error = qtm("sweep", tmp_path / "g.toml", "--out", tmp_path / "o.csv")
    assert (code, "must end in .zarr or .nc" in error) == (2, True)
    assert qtm("sweep", tmp_path / "none.toml", "--out", tmp_path / "o.zarr")[0] == 2
    assert qtm("sweep", tmp_path / "g.toml", "--out", tmp_path / "o.zarr")[0] == 0
    (tmp_path / "g.toml").write_text("[mutation]\nform = 'GaussianMutation'\nvariance = [0.2]")
    code, _, error = qtm("sweep", tmp_path / "g.toml", "--out", tmp_path / "o.zarr")
    assert (code, "belongs to another sweep" in error) == (2, True)
    code, _, error = qtm("sweep", tmp_path / "g.toml", "--out", tmp_path / "p.zarr",
                        "--scheduler", "tcp://127.0.0.1:9")  # fmt: skip
    assert code == 2
    assert "no Dask scheduler at tcp://127.0.0.1:9" in error


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_model_file_of_another_editor_is_read(qtm, tmp_path, encoding):
    """With a byte order mark and line endings of Windows."""
    text = 'generations = 2\n[selection] # ångström\nform = "Directional"\ngradient = [0.5, 1.0]\n'
    (tmp_path / "m.toml").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    code, _, error = qtm("sweep", tmp_path / "m.toml", "--out", tmp_path / "o.zarr")
    assert code == 0, error
    np.testing.assert_allclose(xr.open_zarr(tmp_path / "o.zarr")["mean"], [1.0, 2.0], rtol=1e-12)


def test_a_model_file_of_no_text_is_refused_in_a_sentence(qtm, tmp_path):
    (tmp_path / "m.toml").write_bytes(b"form = '\xe9'")
    code, _, error = qtm("sweep", tmp_path / "m.toml", "--out", tmp_path / "o.zarr")
    assert code == 2
    assert "cannot be read as a text file" in error
    assert not (tmp_path / "o.zarr").exists()


def test_a_sweep_that_loses_its_scheduler_ends_in_a_sentence(qtm, tmp_path, monkeypatch):
    def lost(*_, **__):
        raise ConnectionError("the connection to the Dask scheduler at x was lost")

    monkeypatch.setattr(theory, "sweep", lost)
    (tmp_path / "m.toml").write_text("generations = 1\n")
    code, _, error = qtm("sweep", tmp_path / "m.toml", "--out", tmp_path / "o.zarr")
    assert code == 2
    assert "qtm: the connection to the Dask scheduler at x was lost" in error
    assert "Traceback" not in error
