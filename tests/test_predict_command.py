"""`qtm predict`: a theory of prompts from kept runs, latents of images, decoding, a sheet."""

import importlib.metadata

import numpy as np
import pandas as pd
import pytest

from analysis.prompts.latents import latents
from analysis.prompts.paths import Path
from analysis.prompts.reading import chains
from analysis.prompts.variances import levels
from empirical.errors import UserError
from empirical.runs import kept
from empirical.runs.prompts import prompts_of_draw
from figures import predicted_traits, prediction
from tests.helpers.small_scans import scan_folder

SIDE, DIGITS = 16, 10
_entry_points = importlib.metadata.entry_points


class Registered:
    def __init__(self, thing):
        self.load = lambda: thing


@pytest.fixture(scope="module")
def runs():
    return {
        run.recipe.settings.generate.guidance.scale: run
        for run in kept.runs("transmission")
        if run.name.startswith("baseline")
    }


@pytest.fixture
def installed(monkeypatch):
    """Register a decoder that shows the first number of an image's latents, and the sheet."""
    decoded = []

    def decode(name, z):
        decoded.append((name, z))
        return np.broadcast_to(
            np.clip(z[:, :1] * 50 + 128, 0, 255).astype(np.uint8)[:, :, None, None],
            (len(z), SIDE, SIDE, 1),
        )

    def entry_points(**chosen):
        if chosen == {"group": "qtm.decoders"}:
            return [Registered(decode)]
        if chosen == {"group": "qtm.figures", "name": "prediction"}:
            return [Registered(prediction.write)]
        if chosen == {"group": "qtm.figures", "name": "predicted_traits"}:
            return [Registered(predicted_traits.write)]
        return _entry_points(**chosen)

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return decoded


def test_a_chain_is_predicted_in_numbers_and_pictures(qtm, runs, installed, tmp_path):
    folders = [runs[w].folder for w in (1.0, 1.5, 2.5, 5.0)]
    out = tmp_path / "predicted"
    code, printed, complaint = qtm(
        "predict", *folders, "--guidance", 2.5, "--generations", 2, "--images", 3, "--out", out
    )
    assert code == 0, complaint
    assert printed.strip() == str(out)
    table = pd.read_csv(out / "traits.csv")
    assert set(table["generation"]) == {0, 1, 2}
    assert (table["low"] <= table["predicted"]).all()
    # The run at 2.5 was left out of the fit. It is predicted in the first generation.
    row = table.query("trait == 'sharpness' and quantity == 'mean' and generation == 1").iloc[0]
    moments = runs[2.5].moments().query("feature == 'sharpness'").set_index("generation")
    sd = np.sqrt(moments.loc[0, "within"] + moments.loc[0, "between"])
    measured = (moments.loc[1, "mean"] - moments.loc[0, "mean"]) / sd
    assert row["predicted"] == pytest.approx(measured, abs=0.1)
    assert abs(measured) > 0.3
    assert row["measured"] == pytest.approx(measured, abs=1e-3)
    assert {path.suffix for path in out.glob("traits.*")} == {".csv", ".pdf", ".png", ".txt"}
    assert "Marks: such a chain" in (out / "traits.txt").read_text()
    ((name, z),) = installed
    assert (name, z.shape) == ("digits", (2 * DIGITS * 3, 256))
    for t in (1, 2):
        assert len(list((out / f"gen_00{t}").glob("*.png"))) == DIGITS * 3
    assert {path.suffix for path in out.glob("sheet.*")} == {".pdf", ".png", ".txt"}


@pytest.mark.slow
def test_a_remedy_is_predicted_from_runs_without(qtm, runs, installed, tmp_path):
    """ReDiFine from four CFG scales: schedules of the scale and condition drop."""
    redifine = next(run for run in kept.runs("transmission") if run.name.startswith("redifine"))
    recipe = tmp_path / "redifine.toml"
    recipe.write_text((redifine.folder / "recipe.toml").read_text())
    folders = [runs[w].folder for w in (1.0, 1.5, 2.5, 7.5)] + [redifine.folder]
    out = tmp_path / "predicted"
    code, printed, complaint = qtm(
        "predict", *folders, "--recipe", recipe, "--generations", 2, "--images", 1, "--out", out
    )
    assert code == 0, complaint
    assert printed.strip() == str(out)
    table = pd.read_csv(out / "traits.csv").query("trait == 'latent axes' and generation == 2")
    row = table.set_index("quantity").loc["between"]
    plain = chains([runs[7.5]])[0][0]
    without = np.log(plain.means[2].var(axis=0, ddof=1).sum() / plain.unit.sum())
    assert abs(row["predicted"] - row["measured"]) < 0.15 < without - row["measured"]


def test_a_recipe_with_other_finetuning_cannot_be_predicted(qtm, runs, tmp_path):
    recipe = tmp_path / "other.toml"
    text = (runs[1.0].folder / "recipe.toml").read_text()
    assert "steps = 200" in text
    recipe.write_text(text.replace("steps = 200", "steps = 100"))
    out = tmp_path / "predicted"
    code, _, complaint = qtm(
        "predict", runs[1.0].folder, runs[2.5].folder, "--recipe", recipe, "--out", out
    )
    assert code == 2
    assert "whose 'finetune' differ in more than guidance, training sets and" in complaint
    assert not out.exists()
    for both in ([], ["--recipe", recipe, "--guidance", 2.5]):
        code, _, complaint = qtm("predict", runs[1.0].folder, *both, "--out", out)
        assert code == 2
        assert "takes a CFG scale (--guidance) or a recipe (--recipe)" in complaint


def test_one_scale_is_not_enough(qtm, runs, tmp_path):
    out = tmp_path / "predicted"
    code, _, complaint = qtm(
        "predict", runs[1.0].folder, runs[2.5].folder, "--guidance", 2.5, "--out", out
    )
    assert code == 2
    assert "takes two CFG scales or more other than that of the chain, got 1" in complaint
    assert not out.exists()


def test_latents_of_measured_prompts_are_those_that_were_measured(runs):
    chosen = [runs[w] for w in (1.0, 2.5, 5.0)]
    read = chains(chosen)[0]
    chain, run = read[1], chosen[1]
    path = Path(chain.means[None], levels(chain)[None], {})
    n = 200
    z, captions = latents(chosen, read, chain, path, n)
    assert [set(texts) for texts in captions] == [{caption} for caption in chain.captions]
    assert z.shape == (6, DIGITS, n, 256)
    base = prompts_of_draw(run.generation(0), "unguided")
    order = np.argsort(base.captions)
    for t in (1, 6):
        known = prompts_of_draw(run.generation(t))
        measured = known.means["latent"][np.argsort(known.captions)]
        error = np.sqrt(np.mean((z[t - 1].mean(axis=1) - measured) ** 2))
        moved = np.sqrt(np.mean((base.means["latent"][order] - measured) ** 2))
        sampling = np.sqrt(np.mean(base.within) / n)
        assert error < 0.35 * moved + sampling
        V = z[t - 1].var(axis=1, ddof=1).mean()
        ratio = np.trace(chain.within[t].mean(axis=0)) / np.trace(chain.base_within.mean(axis=0))
        # The relative error of a variance from many values is small beside this.
        assert pytest.approx(ratio * base.within.mean(), rel=0.05) == V


def test_latents_are_decoded_by_the_model_of_the_runs():
    pytest.importorskip("torch", reason="a model needs torch")
    from empirical.pipeline.decoding import decode

    images = decode("digits", np.zeros((3, 256)))
    assert (images.dtype, len(images), images.shape[-1]) == (np.uint8, 3, 1)
    assert (images[0] == images[1]).all()
    with pytest.raises(UserError, match="latents of 5 numbers do not fit the model 'digits'"):
        decode("digits", np.zeros((3, 5)))


def test_measured_images_are_shown_below_those_of_the_same_prompts(tiny_run):
    captions = sorted(set(tiny_run.generation(1).captions))[:3]
    side = tiny_run.generation(1).images([0]).shape[1]
    images = np.zeros((2, 3, side, side, 1), np.uint8)
    figure = prediction.draw(images, captions, "CFG 2.5", [tiny_run])
    assert [axis.get_title(loc="left") for axis in figure.axes] == [
        "predicted, CFG 2.5", f"measured, {tiny_run.name}",
    ]  # fmt: skip
    rows = prediction.stored(tiny_run, captions, 2)
    generation = tiny_run.generation(2)
    first = [generation.captions.index(caption) for caption in captions]
    np.testing.assert_array_equal(rows[1], generation.images(first))
    assert prediction.stored(tiny_run, ["no such prompt"], 2) == []


def test_traits_have_a_panel_each_with_what_was_measured():
    rows = [
        (trait, quantity, t, 0.1 * t, 0.0, 0.2 * t, 0.3 * t)
        for trait, quantity in (
            ("entropy", "mean"), ("pixel_mean", "mean"), ("entropy", "within"),
            ("latent axes", "within"), ("latent axes", "between"), ("latent axes 0", "mean"),
        )
        for t in range(3)
    ]  # fmt: skip
    names = ["trait", "quantity", "generation", "predicted", "low", "high", "measured"]
    table = pd.DataFrame(rows, columns=names)
    figure = predicted_traits.draw(table, "CFG 2.5")
    shown = [axis for axis in figure.axes if axis.get_visible()]
    titles = [axis.get_title(loc="left") for axis in shown]
    assert titles[:2] == ["a   entropy", "b   pixel mean"]
    assert ["V_W" in titles[2], "V_B" in titles[3]] == [True, True]
    for axis in shown:
        marks = axis.lines[-1]
        np.testing.assert_allclose(marks.get_ydata(), [0.0, 0.3, 0.6])
    unknown = table.assign(measured=np.nan)
    assert "Marks" not in predicted_traits.caption(unknown)
    assert "Marks" in predicted_traits.caption(table)


CAPTIONS = [caption for caption in "abcdef" for _ in range(40)]


def traits_at(w, replicate=False):
    """Prompts that move apart with the scale, and a trait that follows the first axis."""
    rng = np.random.default_rng([7, replicate])
    place = np.repeat(np.linspace(-1, 1, 6), 40)[:, None] * [1.0, 0.4, 0.2]
    z = (1 + 0.3 * np.log(w)) * place + 0.3 * w**-0.5 * rng.normal(size=(240, 3))
    return {"latent_pc": z, "latent": np.tile(z, 2), "brightness": z[:, :1] + 0.2 * np.log(w)}


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """A scan at four scales, with draws of the base model."""
    folder = tmp_path_factory.mktemp("scans") / "scan"
    base = lambda k: traits_at(1.0, bool(k))
    return scan_folder(
        folder, CAPTIONS, traits_at(1.0), traits_at, (1.0, 1.5, 3.0, 6.0), base=base
    ).folder


def test_a_scan_is_predicted_at_a_scale_between_its_own(qtm, scanned, installed, tmp_path):
    out = tmp_path / "predicted"
    code, printed, complaint = qtm("predict", scanned, "--guidance", 2.2, "--out", out)
    assert code == 0, complaint
    assert printed.strip() == str(out)
    table = pd.read_csv(out / "traits.csv")
    assert set(table["generation"]) == {0, 1}
    assert table["measured"].isna().all()
    images, w = traits_at(1.0)["brightness"], 2.2
    moves = (traits_at(w)["brightness"].mean() - images.mean()) / images.std()
    row = table.query("trait == 'brightness' and quantity == 'mean' and generation == 1").iloc[0]
    assert row["predicted"] == pytest.approx(moves, abs=0.05)
    centres = [traits_at(x)["brightness"].reshape(6, 40).mean(axis=1) for x in (w, 1.0)]
    grown = np.log(np.var(centres[0]) / np.var(centres[1]))
    rows = table.query("trait == 'brightness' and quantity == 'between'").set_index("generation")
    found = rows.loc[1, "predicted"] - rows.loc[0, "predicted"]
    assert found == pytest.approx(grown, abs=0.1)
    assert grown > 0.3
    assert len(list((out / "gen_001").glob("*.png"))) == 12


def test_a_scale_of_the_scan_is_shown_beside_the_prediction(qtm, scanned, installed, tmp_path):
    out = tmp_path / "predicted"
    code, _, complaint = qtm("predict", scanned, "--guidance", 3, "--out", out)
    assert code == 0, complaint
    table = pd.read_csv(out / "traits.csv").query("trait == 'brightness' and quantity == 'mean'")
    row = table.set_index("generation").loc[1]
    assert row["predicted"] == pytest.approx(row["measured"], abs=0.1)
    assert row["measured"] > 0.2


def test_what_a_scan_cannot_say_is_said(qtm, scanned, installed, runs, tmp_path):
    out = tmp_path / "predicted"
    code, printed, complaint = qtm(
        "predict", scanned, "--guidance", 8, "--generations", 2, "--out", out
    )
    assert code == 0, complaint
    assert "generation 1 is the last of the given ones" in printed
    assert "CFG 8 is not between 1 and 6" in printed
    code, _, complaint = qtm(
        "predict", runs[1.0].folder, scanned, "--guidance", 2, "--out", tmp_path / "none"
    )
    assert code == 2
    assert "takes one scan, or runs, but was given 2 folders" in complaint
    assert not (tmp_path / "none").exists()
