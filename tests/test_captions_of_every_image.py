"""A folder in which every image has its own caption, from the chain to the report."""

import math
import tarfile

import numpy as np
import pandas as pd
import pytest

from analysis.arms.read import arms
from analysis.prediction.trajectories import COLUMNS
from analysis.scans import neutral
from analysis.scans.curves import Reader
from analysis.selection.read import Measured
from analysis.selection.tables import tables
from empirical import recipe
from empirical.runs.prompts import prompts_of_draw
from empirical.runs.record import Run
from empirical.runs.scans import open_scan
from figures.pieces import stored_images
from tests.helpers import captioned_digits
from tests.helpers.tiny_chain import tiny

pytestmark = pytest.mark.slow
IMAGES = 24


def write_recipe(folder, **measure):
    photos = captioned_digits.folder_of(folder / "photos", IMAGES)
    table = {"data": {"name": str(photos), "size": IMAGES}, "measure": measure}
    path = folder / "recipe.toml"
    path.write_text(recipe.dump(tiny(generations=3, **table)))
    return path


@pytest.fixture
def answer(qtm):
    def call(*words):
        code, printed, complaint = qtm(*words)
        assert code == 0, complaint
        return printed

    return call


def test_every_command_answers(answer, tmp_path):
    path, run = write_recipe(tmp_path), tmp_path / "run"
    plan = answer("chain", "run", path, "--out", run, "--dry-run")
    assert "only to be measured, each: 24 with the same guidance and 48 without" in plan
    assert not run.exists()
    answer("chain", "run", path, "--out", run)
    moments = Run(run).moments()
    assert dict(moments.groupby("generation")["how"].first()) == {
        0: "base model", 1: "replicates", 2: "replicates", 3: "replicates",
    }  # fmt: skip
    assert moments[["mean", "within", "between"]].notna().all(axis=None)

    printed = answer("select", run, "--out", tmp_path / "select")
    assert "nan" not in printed
    price = pd.read_csv(tmp_path / "select" / "price.csv")
    rows = price[price["trait"].eq("latent") & price["quantity"].isin(["within", "between"])]
    latent = moments[moments["feature"] == "latent"]
    expected = latent.groupby("generation")[["within", "between"]].mean()
    for row in rows.to_dict("records"):
        after = expected.loc[row["generation"], row["quantity"]]
        before = expected.loc[row["generation"] - 1, row["quantity"]]
        assert row["after"] == pytest.approx(after, rel=1e-6)
        assert row["before"] == pytest.approx(before, rel=1e-6)

    model = "bounded family, saturating"
    fitted = answer(
        "fit", run, "--out", tmp_path / "fit", "--model", model, "--model", "no change",
        "--posterior", "none",
    )  # fmt: skip
    assert model in fitted
    forecast = tmp_path / "forecast.csv"
    assert "neutral guidance scale" in answer(
        "forecast", run, "--generations", "2", "--csv", forecast
    )
    assert pd.read_csv(forecast)[["low", "median", "high"]].notna().all(axis=None)
    answer("report", run, "--out", tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "V_W is measured by further images of each prompt" in text
    assert ">nan<" not in text
    assert "against None" not in text
    assert "What to expect" in text

    # The moments of prompts of a kept run, replicates included, give the same decomposition.
    answer("chain", "keep", run, "--out", tmp_path / "kept")
    with tarfile.open(tmp_path / "kept" / "run.tar.xz") as content:
        content.extractall(tmp_path / "thinned" / "run", filter="data")
    thinned = tables([Measured(Run(tmp_path / "thinned" / "run"))], ["latent"]).price
    key = ["generation", "quantity"]
    both = thinned.merge(price[price["trait"].eq("latent")], on=key, suffixes=("", "_full"))
    assert len(both) == 3 * 4
    for name in ("before", "transmission", "selection", "after"):
        assert both[name].to_list() == pytest.approx(both[f"{name}_full"].to_list(), abs=2e-3)
    means = prompts_of_draw(Run(tmp_path / "thinned" / "run").generation(1)).means
    assert {"latent", "latent_pc", "pixel_mean"} <= set(means)
    assert not {"power_spectrum", "classifier"} & set(means)

    # Without its draws a kept run is far smaller, and fits are the same.
    few = ("--no-draws", "--probes", "1", "--images", "4")
    answer("chain", "keep", run, "--out", tmp_path / "small", *few)
    small, large = (tmp_path / part / "run.tar.xz" for part in ("small", "kept"))
    assert small.stat().st_size < 0.6 * large.stat().st_size
    with tarfile.open(small) as content:
        content.extractall(tmp_path / "less" / "run", filter="data")
    less = Run(tmp_path / "less" / "run")
    assert less.moments().equals(Run(tmp_path / "thinned" / "run").moments())
    assert less.generation(1).draws() == []
    assert len(less.generation(1).probes()) == 1
    assert len(arms([less])[0]) == 1
    # A trait of few components is the mean of its prompt.
    means = prompts_of_draw(less.generation(1)).means
    values = Run(run).generation(1).trait("pixel_mean")
    np.testing.assert_allclose(means["pixel_mean"], values, rtol=2e-3)
    assert not {"latent", "power_spectrum", "classifier"} & set(means)
    names = [path.name for path in sorted((less.folder / "gen_001" / "images").glob("*.png"))]
    assert names == ["00000.png", "00006.png", "00012.png", "00018.png"]
    assert stored_images(less.generation(1), 2) is not None


def test_a_scan_and_its_forecast_answer(answer, tmp_path):
    path, scan = write_recipe(tmp_path), tmp_path / "scan"
    printed = answer("scan", path, "--out", scan, "--scales", "1,1.5,3")
    assert "neutral guidance scale: " in printed
    assert "nan" not in printed
    table = pd.read_csv(scan / "scan.csv")
    assert set(table["scale"].dropna()) == {1.0, 1.5, 3.0}

    # One scale was scanned, so that generation 1 is measured there; the other was not.
    for scale, last in (("1.5", 1), ("2", 0)):
        csv = tmp_path / f"{scale}.csv"
        words = ("--guidance", scale, "--generations", "3", "--csv", csv)
        printed = answer("forecast", scan, *words)
        assert "V_B, between prompts, below half of generation 0" in printed
        assert "nan" not in printed
        assert printed.count("the priors say more than these data") <= 1
        assert "identifying it takes" not in printed
        passed_on = neutral.passed_on(Reader(open_scan(scan), 1).curve(neutral.TRAIT))
        assert ("the model hardly knows such images" in printed) == (passed_on < 0.75)
        forecast = pd.read_csv(csv)
        assert tuple(forecast.columns) == COLUMNS
        assert forecast[["low", "median", "high"]].notna().all(axis=None)
        assert (forecast["low"] <= forecast["median"]).all()
        assert (forecast["median"] <= forecast["high"]).all()
        latent = forecast[forecast["feature"] == "latent"]
        assert len(latent) == 4 * 3
        assert set(latent["component"]) == {0}
        assert latent.groupby("generation")["measured"].all().to_dict() == {
            number: number <= last for number in range(4)
        }
        assert set(forecast["feature"]) >= {"latent_pc", "sharpness"}


def test_a_run_without_replicates_is_completed(qtm, answer, tmp_path):
    run = tmp_path / "run"
    answer("chain", "run", write_recipe(tmp_path, unguided=False, replicates=0), "--out", run)
    code, _, complaint = qtm("fit", run, "--out", tmp_path / "fit")
    assert code == 2
    assert "`qtm measure RUN unguided replicates`" in complaint
    assert not (tmp_path / "fit").exists()
    answer("report", run, "--out", tmp_path / "report.html")
    assert "every prompt has one image" in (tmp_path / "report.html").read_text()
    code, _, complaint = qtm("figures", "guidance_operators", "--runs", tmp_path, "--out", tmp_path)
    assert code == 2
    assert "prompts with one image each" in complaint
    total = Run(run).moments()["variance"]

    answer("measure", run, "unguided", "replicates")
    moments = Run(run).moments()
    assert moments["variance"].tolist() == total.tolist()
    assert moments["within"].notna().all()
    printed = answer("fit", run, "--model", "refit drift", "--model", "no change")
    assert all(math.isfinite(float(x)) for x in printed.split() if x.replace(".", "", 1).isdigit())
