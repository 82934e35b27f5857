"""`qtm select`: runs of simulated images, read as a chain writes them."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from analysis.selection import price, tables
from analysis.selection.read import Measured
from empirical import files
from empirical.runs import moments
from tests.helpers import selected_runs

FAMILIES = [f"prompt {i % 5}" for i in range(40)]
DISTINCT = [f"prompt {i}" for i in range(30)]


@pytest.fixture
def run(tmp_path):
    return selected_runs.write(tmp_path / "run", FAMILIES)


def chosen(table, **values):
    for column, value in values.items():
        table = table[table[column].isna() if value is None else table[column] == value]
    return table


def test_tables_and_their_columns(qtm, run, tmp_path):
    out = tmp_path / "out"
    code, printed, complaint = qtm("select", run.folder, "--out", out)
    assert code == 0, complaint
    assert "transmission" in printed
    figures = {f"{name}.{kind}" for name in ("parts", "traits") for kind in ("pdf", "png", "txt")}
    assert {p.name for p in out.iterdir()} - figures == {
        "matrices.nc", "price.csv", "provenance.json", "selection.csv",
    }  # fmt: skip
    selection, changes = (pd.read_csv(out / f"{name}.csv") for name in ("selection", "price"))
    assert tuple(selection.columns) == tables.SELECTION
    assert tuple(changes.columns) == tables.PRICE
    assert set(selection["trait"]) == {"latent_pc", "sharpness"}
    assert set(selection["generation"]) == {0, 1, 2, 3}
    assert set(selection["how"]) == {"families", "total"}
    bounded = selection.dropna(subset=["low"])
    # Estimates of variances are without bias, and may be negative; their intervals are not.
    signed = bounded["quantity"].isin(["V_B", "V_B_unguided", "mutation"])
    least = bounded["estimate"].where(~signed, bounded["estimate"].clip(lower=0))
    assert (bounded["low"] <= least + 1e-12).all()
    assert (bounded["estimate"] <= bounded["high"] + 1e-12).all()
    assert set(bounded["target"]) == {"these prompts", "population of prompts"}
    assert selection[selection["low"].isna()]["target"].isna().all()
    # one estimate of a target for each quantity of a component
    key = ["generation", "trait", "component", "pair", "quantity", "target"]
    assert not selection.duplicated(key).any()
    assert json.loads((out / "provenance.json").read_text())["runs"] == [str(run.folder)]


def test_a_quantity_is_that_of_the_stored_features(run):
    result = tables.tables([Measured(run)], ["sharpness"])
    guided = run.generation(2).trait("sharpness")
    unguided = run.generation(2).draw("unguided").trait("sharpness")
    row = chosen(result.selection, generation=2, quantity="S", target="these prompts").iloc[0]
    assert row["estimate"] == pytest.approx((guided - unguided).mean())
    row = chosen(result.selection, generation=2, quantity="V_W", target="these prompts")
    m = moments.moments(guided, FAMILIES)
    assert row["estimate"].item() == pytest.approx(m["within"][0])
    row = chosen(result.price, generation=2, quantity="between").iloc[0]
    assert row["after"] == pytest.approx(m["between"][0])
    row = chosen(result.price, generation=2, quantity="prompt_mean", prompt="prompt 3").iloc[0]
    mine = np.array(FAMILIES) == "prompt 3"
    assert row["selection"] == pytest.approx((guided - unguided)[mine].mean())
    assert result.matrices is not None


@pytest.mark.parametrize("kind", ["replace", "mix", "accumulate", "real", "filter"])
@pytest.mark.parametrize(
    ("captions", "replicates"), [(FAMILIES, 0), (DISTINCT, 1)], ids=["families", "replicates"]
)
def test_parts_add_up_in_every_generation(tmp_path, kind, captions, replicates):
    filtered = kind == "filter"
    run = selected_runs.write(
        tmp_path / "run",
        captions,
        replicates=replicates,
        training_set="replace" if filtered else kind,
        filtered=filtered,
    )
    table = tables.tables([Measured(run)]).price
    parts = table[list(price.PARTS)]
    known = parts.notna().all(axis=1)
    residual = (table["before"] + parts.sum(axis=1) - table["after"])[known]
    assert residual.abs().max() < 1e-10
    defined = table["quantity"] != "within"
    assert known[defined & table["quantity"].isin(["mean", "prompt_mean", "variance"])].all()
    if replicates == 0:
        assert known.all()
    assert set(table["generation"]) == {1, 2, 3}
    rows = chosen(table, quantity="mean", trait="sharpness")
    inflow = rows["inflow"].abs().to_numpy()
    assert (inflow[1:] < 1e-12).all() == (kind == "replace")


def test_one_image_a_prompt_with_replicates(qtm, tmp_path):
    run = selected_runs.write(tmp_path / "run", DISTINCT, replicates=1)
    code, printed, _ = qtm("select", run.folder, "--out", tmp_path / "out")
    assert code == 0
    assert "qtm:" not in printed
    selection = pd.read_csv(tmp_path / "out" / "selection.csv")
    rows = chosen(selection, generation=2, trait="sharpness")
    assert set(chosen(rows, quantity="V_W")["how"]) == {"replicates"}
    pair = [
        run.generation(2).trait("sharpness"),
        run.generation(2).draw("replicate").trait("sharpness"),
    ]
    V_W = np.square(pair[0] - pair[1]).mean() / 2
    assert chosen(rows, quantity="V_W")["estimate"].to_numpy() == pytest.approx(V_W)
    assert len(chosen(rows, quantity="transmission", target="these prompts")) == 1
    # Real images have no second draw: their V_W is that of the base model.
    first = chosen(selection, generation=0, trait="sharpness", component=0)
    assert set(chosen(first, quantity="V_W")["how"]) == {"base model"}
    parts = [chosen(first, quantity=q)["estimate"].item() for q in ("V_W", "V_B", "V")]
    assert parts[0] + parts[1] == pytest.approx(parts[2])
    assert chosen(first, quantity="V_W")["target"].isna().all()
    assert not chosen(selection, generation=0, quantity="V_W_unguided").empty


def test_one_image_a_prompt_without_replicates(qtm, tmp_path):
    run = selected_runs.write(tmp_path / "run", DISTINCT)
    code, printed, _ = qtm("select", run.folder, "--out", tmp_path / "out")
    assert code == 0
    assert "V_B is an upper bound" in printed
    assert "nan" not in printed
    figures = [f"{name}.{kind}" for name in ("parts", "traits") for kind in ("pdf", "png", "txt")]
    if any((tmp_path / "out" / name).exists() for name in figures):
        assert all((tmp_path / "out" / name).stat().st_size > 0 for name in figures)
    selection = pd.read_csv(tmp_path / "out" / "selection.csv")
    assert chosen(selection, quantity="V_W").empty
    assert chosen(selection, quantity="beta").empty
    bounds = chosen(selection, quantity="V_B")
    assert set(bounds["how"]) == {"upper bound"}
    assert set(bounds["generation"]) == {1, 2}
    assert bounds[["low", "high", "target"]].isna().all(axis=None)
    for quantity in ("S", "transmission"):
        assert set(chosen(selection, quantity=quantity)["target"]) == {"population of prompts"}
    assert set(chosen(selection, quantity="V")["how"]) == {"total"}


def test_captions_that_are_nearly_distinct(qtm, tmp_path):
    run = selected_runs.write(tmp_path / "run", [*DISTINCT, *DISTINCT[:3]])
    code, printed, _ = qtm("select", run.folder)
    assert code == 0
    assert "rest on 3 of the 30 prompts" in printed


def test_one_prompt_in_all(qtm, tmp_path):
    run = selected_runs.write(tmp_path / "run", ["a digit"] * 12)
    code, printed, _ = qtm("select", run.folder, "--out", tmp_path / "out")
    assert code == 0
    assert "has one prompt" in printed
    selection = pd.read_csv(tmp_path / "out" / "selection.csv")
    assert {"S", "V_W", "beta"} <= set(selection["quantity"])
    assert not {"V_B", "transmission", "mutation"} & set(selection["quantity"])


def test_several_runs_share_the_tables(tmp_path):
    runs = [
        selected_runs.write(tmp_path / name, FAMILIES, generations=count, seed=count)
        for name, count in (("short", 1), ("long", 2))
    ]
    result = tables.tables([Measured(run) for run in runs], ["latent_pc"])
    assert set(result.selection["run"]) == {"short", "long"}
    data = result.matrices
    assert data is not None
    assert dict(data.sizes) == {
        "run": 2, "generation": 3, "draw": 2, "matrix": 2, "axis": 3, "other_axis": 3,
        "direction": 3,
    }  # fmt: skip
    assert np.isnan(data["covariance"].sel(run="short", generation=2)).all()


def test_matrices_are_those_of_the_draws(qtm, run, tmp_path):
    qtm("select", run.folder, "--out", tmp_path / "out")
    with xr.open_dataset(tmp_path / "out" / "matrices.nc") as data:
        P = data["covariance"].sel(run="run", matrix="within", generation=1)
        values = run.generation(1).draw("unguided").trait("latent_pc")
        expected = moments.moments(values, FAMILIES)["within"]
        np.testing.assert_allclose(np.diag(P.sel(draw="unguided")), expected)
        # Guided images are 0.8 times as wide in every direction.
        eigenvalues = data["relative_eigenvalue"].sel(run="run", generation=1)
        np.testing.assert_allclose(eigenvalues, 0.64, atol=1e-9)
        draws = data.sel(run="run", generation=1, matrix="within")
        before, after = (
            draws["covariance"].sel(draw=name).to_numpy() for name in ("unguided", "guided")
        )
        v = draws["relative_axis"].to_numpy()
        np.testing.assert_allclose(v.T @ before @ v, np.eye(3), atol=1e-9)
        np.testing.assert_allclose(v.T @ after @ v, np.diag(eigenvalues), atol=1e-9)
        axes, variances = draws["principal_axis"], draws["principal_variance"]
        for name, M in (("unguided", before), ("guided", after)):
            u = axes.sel(draw=name).to_numpy()
            np.testing.assert_allclose(u.T @ u, np.eye(3), atol=1e-12)
            rebuilt = u * variances.sel(draw=name).to_numpy() @ u.T
            np.testing.assert_allclose(rebuilt, M, atol=1e-12)
            assert (np.diff(variances.sel(draw=name)) <= 0).all()
        first = data["skewers"].sel(run="run", generation=0, draw="guided")
        np.testing.assert_allclose(first, 1)
        assert (data["reference"] == 0).all()
        assert data.attrs["trait"] == "latent_pc"


def sentence(qtm, *words):
    code, _, complaint = qtm("select", *words)
    assert code == 2
    lines = complaint.strip().splitlines()
    assert len(lines) == 1, complaint
    return lines[0]


def test_a_run_without_draws_says_what_adds_them(qtm, tmp_path):
    run = selected_runs.write(tmp_path / "run", FAMILIES, unguided=False)
    assert f"`qtm measure {run.folder} unguided` draws them" in sentence(qtm, run.folder)


def test_an_unknown_trait(qtm, run):
    line = sentence(qtm, run.folder, "--trait", "charm")
    assert "no trait 'charm', it has latent_pc, sharpness" in line


def test_a_trait_that_draws_lack(qtm, run):
    for number in range(4):
        files.write_array(run.generation(number).folder / "features" / "hue.npy", np.zeros((40, 1)))
    line = sentence(qtm, run.folder, "--trait", "hue")
    assert "'hue'" in line
    assert "is not measured on its unguided images" in line


def test_draws_of_other_seeds(qtm, run):
    path = run.generation(2).draw("unguided").folder / "metadata.jsonl"
    rows = files.read_json_lines(path)
    rows[3]["seed"] += 1
    files.write_json_lines(path, rows)
    assert "was not drawn with the prompts and seeds" in sentence(qtm, run.folder)


def test_values_that_are_not_finite(qtm, run):
    folder = run.generation(1).draw("unguided").folder
    values = run.generation(1).draw("unguided").trait("sharpness").copy()
    values[0] = np.nan
    files.write_array(folder / "features" / "sharpness.npy", values)
    assert "that are not finite" in sentence(qtm, run.folder)


def test_a_damaged_draw(qtm, run):
    folder = run.generation(1).draw("unguided").folder
    files.write_array(folder / "features" / "sharpness.npy", np.zeros((7, 1)))
    assert "7 values of 'sharpness' for its 40 images" in sentence(qtm, run.folder)


def test_an_unknown_training_set(qtm, tmp_path):
    run = selected_runs.write(tmp_path / "run", FAMILIES, training_set="accumulate")
    (run.generation(2).folder / "training.jsonl").unlink()
    assert "has no training.jsonl" in sentence(qtm, run.folder)


def test_a_run_that_replaces_needs_no_pedigree(run):
    before = tables.tables([Measured(run)], ["sharpness"]).price
    for number in (1, 2, 3):
        (run.generation(number).folder / "training.jsonl").unlink()
    pd.testing.assert_frame_equal(before, tables.tables([Measured(run)], ["sharpness"]).price)


def test_no_run_and_no_folder(qtm, run, tmp_path):
    assert "is not the folder of a run" in sentence(qtm, tmp_path / "nothing")
    (tmp_path / "file").write_text("")
    assert "is a file" in sentence(qtm, run.folder, "--out", tmp_path / "file")
