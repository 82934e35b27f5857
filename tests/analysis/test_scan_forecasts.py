"""Forecasts from a scan: its arms, generation 1 between scales, means, the command."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.arms.design import design
from analysis.arms.read import arm
from analysis.models import every_model
from analysis.prediction.paths import trajectory_of
from analysis.prediction.synthetic import draw_arms, vector
from analysis.scans import forecast as forecasts
from analysis.scans import means
from analysis.scans.arms import arms
from analysis.scans.forecast import forecast
from empirical import files, recipe
from empirical.errors import UserError
from empirical.runs import moments
from empirical.runs.record import Run
from empirical.runs.scans import Scan
from tests.helpers.small_scans import scan_folder

SCALES = (1.0, 1.5, 2.5, 5.0)
CAPTIONS = [caption for caption in "abcd" for _ in range(50)]
MODEL = every_model()["bounded family, saturating"]
TRUTH = {
    "process_mean": 0.02, "process_within": 0.05, "process_between": 0.04, "process_growth": 0.2,
    "heritability": 0.9, "within_heritability": 0.9, "strength": 0.6,
}  # fmt: skip


def features(w: float, replicate: bool = False) -> dict[str, np.ndarray]:
    """Families drawn apart with the scale, two traits and the scores of the latents."""
    rng = np.random.default_rng([int(100 * w), replicate])
    families, x = np.repeat(np.arange(4.0), 50)[:, None], np.log(w)
    z = (0.9 + x / 3) * families + (1 + x) ** -1 * rng.normal(size=(200, 3)) + 0.2 * x
    return {"t": z[:, :1], "latent_pc": z * [1, 0.5, 0.1], "latent": z, "still": np.ones((200, 1))}


def small_scan(folder, table=None):
    return scan_folder(folder, CAPTIONS, features(0.8), features, SCALES, table=table)


@pytest.fixture(scope="module")
def scanned():
    """The first generation of chains at four scales, and all of them."""
    chains = draw_arms(MODEL, TRUTH, scales=list(SCALES), generations=6, seed=1)
    return [chain.until(1) for chain in chains], chains


@pytest.mark.parametrize("trait", ["t", "latent_pc", "latent"])
def test_a_scale_is_read_as_the_run_it_could_be(tmp_path, trait):
    """The arm of a run with the same images, whose settings are those of the scan."""
    scan = small_scan(tmp_path / "scan")
    of_scan = arms(scan, trait)[2]
    table = {"generations": 1, "generate": {"guidance": {"rule": "constant", "scale": 2.5}}}
    run, frames = Run(tmp_path / "run"), []
    files.write_text(run.folder / "recipe.toml", recipe.dump(recipe.parse(table)))
    for number, traits in enumerate((features(0.8), features(2.5))):
        generation = run.generation(number)
        rows = [{"file_name": f"{i}.png", "text": c} for i, c in enumerate(CAPTIONS)]
        files.write_json_lines(generation.folder / "images" / "metadata.jsonl", rows)
        for name, values in traits.items():
            generation.write(name, values)
        files.write_json(generation.folder / "done.json", {})
        frames.append(moments.table(number, traits, CAPTIONS))
    files.write_text(run.folder / "moments.csv", pd.concat(frames).to_csv(index=False))
    of_run = arm(run, trait)
    for name in ("measured", "sampling", "unit", "centre", "scales", "noise"):
        np.testing.assert_allclose(getattr(of_scan, name), getattr(of_run, name), rtol=1e-9)
    assert (of_scan.label, of_scan.families, of_scan.images) == (2.5, 4, 200)
    assert (of_scan.components, of_scan.name) == (of_run.components, "scan,scale=2.5")


def test_replicates_separate_the_variances_of_arms(tmp_path):
    """One image a caption: V_W and V_B as moments.csv would have them."""
    rng = np.random.default_rng(0)
    captions, m = [f"photo {i}" for i in range(40)], rng.normal(size=(40, 1))
    draw = lambda w, replicate: {"latent": w * m + rng.normal(size=(40, 1))}
    base = lambda k: {"latent": m + rng.normal(size=(40, 1))}
    training = {"latent": m + rng.normal(size=(40, 1))}
    scan = scan_folder(tmp_path, captions, training, draw, (1.0, 2.0), replicates=1, base=base)
    read = arms(scan)[1]
    z = [draw.trait("latent") for draw in (scan.draw(1, 2.0), scan.replicate(1, 2.0))]
    V_W = float(np.square(z[0] - z[1]).mean()) / 2
    assert read.separated
    assert read.unit[0] * np.exp(read.measured[1, 1, 0]) == pytest.approx(V_W)


def test_a_forecast_starts_from_the_scanned_scale(scanned):
    """Later generations lie mostly in the 90 % interval, which widens."""
    scan, chains = scanned
    prediction = forecast(scan, 2.5, 6, draws=128)
    assert prediction.last == 1
    y = chains[2].measured
    np.testing.assert_allclose(prediction.paths[:, :2], np.broadcast_to(y[:2], (128, 2, 3, 1)))
    low, high = np.quantile(prediction.paths, [0.05, 0.95], axis=0)
    inside = (low[2:, 1:] <= y[2:, 1:]) & (y[2:, 1:] <= high[2:, 1:])
    assert inside.mean() >= 0.7
    assert (high - low)[6, 1, 0] > (high - low)[2, 1, 0] > 0


def test_generation_1_is_interpolated_at_other_scales(scanned):
    """All scales share the finetuned model, and so what it does beyond the theory."""
    scan, _ = scanned
    x = vector(MODEL, TRUTH)[None]
    start = np.zeros(len(scan), int)
    expected = trajectory_of(MODEL, x, design(scan), start)[0, :, 1]
    shared = np.array([0.1, 0.2, -0.15])[:, None]
    shares = [
        replace(a, measured=np.stack([a.measured[0], y + shared]))
        for a, y in zip(scan, expected, strict=True)
    ]
    prediction = forecast([shares[0], shares[1], shares[3]], 2.5, 6, draws=128)
    assert prediction.last == 0
    y, first = shares[2].measured[1, 1:, 0], prediction.paths[:, 1, 1:, 0]
    assert (np.abs(np.median(first, axis=0) - y) < 3 * first.std(axis=0)).all()
    assert (first.std(axis=0) < 0.05).all()
    table = prediction.table()
    assert list(table.columns) == [
        "generation", "feature", "component", "quantity", "low", "median", "high", "measured",
    ]  # fmt: skip
    assert table.groupby("generation")["measured"].first().tolist() == [True] + [False] * 6


def test_forecasts_repeat_themselves(scanned):
    scan, _ = scanned
    first, again = (forecast(scan, 1.2, 3, draws=16).paths for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_residuals_between_scales():
    """A known place is exact; midway between two equal neighbours both count the same; far away
    nothing is known."""
    places = np.log([1.0, 2.0, 4.0])
    weights, rest = forecasts._interpolation(places, places[1])
    np.testing.assert_allclose(weights, [0, 1, 0], atol=1e-6)
    assert rest < 1e-6
    weights, rest = forecasts._interpolation(places[:2], places[:2].mean())
    assert weights[0] == pytest.approx(weights[1])
    assert 0 < rest < 0.1
    weights, rest = forecasts._interpolation(places, 50.0)
    assert rest == pytest.approx(1)


def test_shifts_of_means_are_linear_in_the_logarithm(scanned):
    scan, _ = scanned
    given = [
        replace(a, measured=np.stack([a.measured[0], np.full_like(a.measured[1], value)]))
        for a, value in zip(scan, (0.1, 0.3, 0.4, 1.0), strict=True)
    ]
    shift, off = means.response(given, 2.5)
    assert (shift[0], off[0]) == (0.4, 0.0)
    shift, off = means.response(given, np.sqrt(1.5))
    assert (shift[0], off[0]) == pytest.approx((0.2, 0.2 / 4))
    shift, off = means.response(given, 10.0)
    assert shift[0] == pytest.approx(1.6)
    assert off[0] > 0.2


def test_means_follow_the_recursion(scanned, monkeypatch):
    """Without spread: T (1 - a_T^t)/(1 - a_T) + S (1 - a_S^t)/(1 - a_S)."""
    scan, _ = scanned
    monkeypatch.setattr(means, "TRANSMITTED", (0.2, 0.0))
    monkeypatch.setattr(means, "SELECTED", (0.5, 0.0))
    monkeypatch.setattr(means, "UNSEEN", (0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr(means, "CHANCE", (0.0, 0.0))
    T, total = scan[0].measured[1, 0, 0], scan[3].measured[1, 0, 0]
    t = np.arange(7)
    expected = T * (1 - 0.2**t) / 0.8 + (total - T) * (1 - 0.5**t) / 0.5
    paths = means.forecast(scan, 5.0, 6, 3)
    np.testing.assert_allclose(paths[:, :, 0], np.broadcast_to(expected, (3, 7)), atol=1e-12)
    assert means.forecast(scan, 5.0, 1, 3).shape == (3, 2, 1)


def test_spread_of_means_grows_with_what_guidance_adds(scanned):
    scan, _ = scanned
    wide = [
        replace(a, measured=a.measured + np.array([0, k * np.log(a.label)])[:, None, None])
        for a, k in zip(scan, (0, 1, 1, 1), strict=True)
    ]
    sd = [means.forecast(arms, 5.0, 6, 400)[:, :, 0].std(axis=0) for arms in (scan, wide)]
    assert (sd[0][:2] < 1e-12).all()
    assert (np.diff(sd[1][1:]) > 0).all()
    assert sd[1][6] > 3 * sd[0][6]


def test_impossible_forecasts_are_refused(scanned, tmp_path):
    scan, _ = scanned
    with pytest.raises(UserError, match="1 generation or more, got 0"):
        forecast(scan, 2.5, 0)
    with pytest.raises(UserError, match="must be a finite number"):
        forecast(scan, float("inf"))
    with pytest.raises(UserError, match="there is no model 'luck'"):
        forecast(scan, 2.5, model="luck")
    made = small_scan(tmp_path)
    with pytest.raises(UserError, match="has no trait 'u', it has latent, latent_pc, still, t"):
        arms(made, "u")
    with pytest.raises(UserError, match="does not vary"):
        arms(made, "still")
    files.write_json(tmp_path / "scan.json", {"scales": [1.0], "generations": [2], "replicates": 0})
    with pytest.raises(UserError, match="has no generation 1, the one that learns from real"):
        arms(Scan(tmp_path))


def test_the_command_forecasts_all_traits_of_a_scan(qtm, tmp_path):
    small_scan(tmp_path / "scan")
    code, out, err = qtm("forecast", tmp_path / "scan", "--guidance", 3.0, "--generations", 2,
                         "--csv", tmp_path / "f.csv")  # fmt: skip
    assert code == 0, err
    assert "V_B, between prompts, below half of generation 0" in out
    assert "neutral guidance scale: " in out
    assert "trait 'still' of 'scan,scale=1' does not vary" in out
    rows = pd.read_csv(tmp_path / "f.csv")
    assert rows.groupby("feature")["component"].nunique().to_dict() == {
        "latent": 1, "latent_pc": 3, "t": 1,
    }  # fmt: skip
    assert set(rows["generation"]) == {0, 1, 2}
    start = rows[(rows["feature"] == "t") & (rows["generation"] == 0)].set_index("quantity")
    assert start.loc["mean", "median"] == pytest.approx(features(0.8)["t"].mean())
    assert start.loc["within", "low"] == pytest.approx(start.loc["within", "high"])
    assert start["measured"].all()


def test_scales_that_were_not_scanned_are_said(qtm, tmp_path):
    small_scan(tmp_path / "scan")
    code, out, _ = qtm("forecast", tmp_path / "scan", "--guidance", 9, "--generations", 1)
    assert code == 0
    assert "the scale 9 is outside the range that was scanned, 1 to 5" in out
    code, _, err = qtm("forecast", tmp_path / "scan", tmp_path / "scan")
    assert (code, "a forecast takes one scan, not 2" in err) == (2, True)


def test_a_recipe_without_one_scale_needs_it(qtm, tmp_path):
    rule = {"generate": {"guidance": {"rule": "decay", "scale": 7.5, "rate": 15.0}}}
    small_scan(tmp_path / "scan", rule)
    code, _, err = qtm("forecast", tmp_path / "scan")
    assert (code, "needs the CFG scale of the chain" in err) == (2, True)
