"""``qtm measure``: finished runs and any folders, with one sentence for every mistake."""

import shutil

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from empirical import files
from empirical.claim import claimed
from empirical.commands.measure import DRAWS
from empirical.embedded import digits as dataset
from empirical.measuring import finished as remeasuring
from empirical.measuring import image_folder, sources
from empirical.measuring.metrics import Pair, Sample, every_measure
from empirical.measuring.traits import View, every_trait
from empirical.runs import moments
from empirical.runs.record import open_run
from tests.helpers.commands import call
from tests.helpers.fresh_process import run_without_chain_libraries

N = 30


def write_images(folder, images, captions=None):
    for i, pixels in enumerate(images):
        files.write_image(folder / f"{i:05d}.png", pixels)
    if captions is not None:
        rows = [{"file_name": f"{i:05d}.png", "text": c} for i, c in enumerate(captions)]
        files.write_json_lines(folder / "metadata.jsonl", rows)


def generations(count=3):
    """Real digits that fade, generation by generation."""
    digits = dataset.load("real")
    fading = [(digits.images[:N, ..., None] * 0.8**t).astype(np.uint8) for t in range(count)]
    return fading, digits.captions[:N]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run as its folder says it, made without a chain."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    files.write_text(folder / "recipe.toml", f"generations = 2\n[data]\nsize = {N}\n")
    images, captions = generations()
    for t, pixels in enumerate(images):
        write_images(folder / f"gen_{t:03d}" / "images", pixels, captions)
        mean = every_trait()["pixel_mean"](View(pixels, encode=lambda images: images))
        files.write_array(folder / f"gen_{t:03d}" / "features" / "pixel_mean.npy", mean)
        files.write_json(folder / f"gen_{t:03d}" / "done.json", {"generation": t})
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def folders(tmp_path):
    """Three generations of a run as mere images: the last one without captions."""
    images, captions = generations()
    for t, pixels in enumerate(images):
        write_images(tmp_path / "images" / "abc"[t], pixels, captions if t < 2 else None)
    return [tmp_path / "images" / name for name in "abc"]


@pytest.fixture
def measure(monkeypatch, capsys):
    return lambda *words: call(monkeypatch, capsys, "measure", *words)


def test_traits_of_a_run_are_kept_and_its_moments_derived(measure, run):
    code, out, _ = measure(run, "entropy", "pixels:8", "sharpness")
    assert code == 0
    assert "entropy" in out
    opened = open_run(run)
    for generation in opened.generations():
        assert generation.traits() == ["entropy", "pixel_mean", "pixels-8", "sharpness"]
        view = View(generation.images(), encode=lambda images: images)
        np.testing.assert_array_equal(generation.trait("entropy"), view.trait("entropy"))
        assert generation.trait("pixels-8").shape == (N, 64)
    table = opened.moments()
    assert tuple(table.columns) == moments.COLUMNS
    assert set(table["feature"]) == {"entropy", "pixel_mean", "pixels-8", "sharpness"}
    assert len(table) == 3 * (3 + 64)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert measure(run, "sharpness", "entropy")[0] == 0
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_measures_of_a_run_are_added_and_replaced(measure, run):
    code, out, _ = measure(run, "nearest", "vendi", "--features", "pixels", "--resamples", "10")
    assert code == 0
    assert "the generation before" in out
    table = pd.read_csv(run / "measures.csv")
    assert tuple(table.columns) == remeasuring.COLUMNS
    of = table[table["measure"] == "nearest"]
    assert list(of["generation"]) == [0, 1, 1, 1, 2, 2, 2]
    assert set(of["reference"]) == {"generation 0", "the generation before", "held-out real images"}
    assert (table["n"] == N).all()
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()
    pixels = [
        generation.images().reshape(N, -1) / 255 for generation in open_run(run).generations()
    ]
    expected = every_measure()["nearest"].against(Pair(Sample(pixels[2]), Sample(pixels[1])))
    row = of[(of["generation"] == 2) & (of["reference"] == "the generation before")].iloc[0]
    assert row["value"] == pytest.approx(expected, rel=1e-5)

    whole = (run / "measures.csv").read_bytes()
    assert measure(run, "nearest", "--features", "pixels", "--resamples", "10")[0] == 0
    assert (run / "measures.csv").read_bytes() == whole
    # Other features are other rows, another seed takes the place of the old.
    assert measure(run, "vendi", "--features", "pixel_mean")[0] == 0
    assert measure(run, "vendi", "--features", "pixels", "--seed", "7")[0] == 0
    now = pd.read_csv(run / "measures.csv")
    assert len(now) == len(table) + 3
    key = ["generation", "measure", "features", "reference"]
    assert not now.duplicated(key).any()
    both = now.merge(table, on=key, suffixes=("", "_before"))
    vendi = both[both["measure"] == "vendi"]
    assert (vendi["value"] == vendi["value_before"]).all()
    assert (vendi["low"] != vendi["low_before"]).all()


def test_a_run_is_compared_with_real_images_that_are_named(measure, run, folders, tmp_path):
    table = tmp_path / "t.csv"
    words = ("nearest", "--features", "pixels", "--reference", folders[1], "--csv", table)
    assert measure(run, *words)[0] == 0
    found = pd.read_csv(table)
    row = found[found["reference"] == "held-out real images"].iloc[0]
    one = open_run(run).generation(0).images().reshape(N, -1) / 255
    other = image_folder.read(folders[1])[0].reshape(N, -1) / 255
    expected = every_measure()["nearest"].against(Pair(Sample(one), Sample(other)))
    assert row["value"] == pytest.approx(expected, rel=1e-5)


def test_copies_of_the_training_set_are_found(measure, run):
    """Where it is more than the generation before, which shares no image with what is measured."""
    opened = open_run(run)
    generation = opened.generation(2)
    rows = [
        {"generation": k, "file_name": f"gen_{k:03d}/images/{row['file_name']}", "text": ""}
        for k in (0, 1)
        for row in opened.generation(k).metadata()
    ]
    copied = rows[3]["file_name"]
    for row in generation.metadata():
        shutil.copy(run / copied, generation.folder / "images" / row["file_name"])
    for name, chosen in (("more", rows), ("the same", rows[N:])):
        files.write_json_lines(generation.folder / "training.jsonl", chosen)
        assert measure(run, "nearest", "kid", "--features", "pixels", "--resamples", "5")[0] == 0
        table = pd.read_csv(run / "measures.csv")
        of = table[table["reference"] == "the training set"]
        if name == "more":
            assert list(zip(of["generation"], of["measure"], strict=True)) == [(2, "nearest")]
            assert of["value"].iloc[0] == 0
            (run / "measures.csv").unlink()
        else:
            assert of.empty


def test_the_classifier_of_the_run_judges(measure, run):
    assert measure(run, "accuracy", "diversity", "frechet")[0] == 0
    table = pd.read_csv(run / "measures.csv")
    assert set(table["features"]) == {"classifier"}
    accuracy = table[table["measure"] == "accuracy"]["value"]
    assert accuracy.iloc[0] > 0.9
    # Thirty images in 64 dimensions.
    frechet = table[table["measure"] == "frechet"]
    assert frechet["caution"].str.contains("singular").all()
    assert table[table["measure"] != "frechet"]["caution"].isna().all()


def test_a_chain_said_the_same(measure, tiny_run, tmp_path):
    """Same features, same seeds: what metrics.json holds is what the command finds."""
    copy = shutil.copytree(tiny_run.folder, tmp_path / "copy")
    (copy / ".lock").unlink(missing_ok=True)
    names = [name for name in every_measure() if name != "clip_score"]
    assert measure(copy, *names)[0] == 0
    found = pd.read_csv(copy / "measures.csv").fillna({"reference": ""})
    found = found.set_index(["generation", "measure", "reference"])
    for generation in open_run(copy).generations():
        rows = generation.metrics()["measures"]
        assert rows
        for row in rows:
            again = found.loc[(generation.number, row["measure"], row["reference"] or "")]
            wanted = [row[key] for key in ("value", "low", "high")]
            assert list(again[["value", "low", "high"]]) == pytest.approx(wanted, rel=1e-5)


def test_features_that_are_kept_are_not_measured_again(measure, run):
    for t in range(3):
        rows = np.random.default_rng(t).normal(size=(N, 2))
        files.write_array(run / f"gen_{t:03d}" / "features" / "pixel_mean.npy", rows)
    assert measure(run, "vendi", "--features", "pixel_mean")[0] == 0
    value = pd.read_csv(run / "measures.csv")["value"].iloc[0]
    rows = np.random.default_rng(0).normal(size=(N, 2))
    assert value == pytest.approx(every_measure()["vendi"].alone(Sample(rows)))


def test_folders_are_generations(measure, folders, tmp_path):
    table = tmp_path / "t.csv"
    code, out, _ = measure("--images", *folders, "pixel_mean", "entropy", "--csv", table)
    assert code == 0
    assert "pixel_mean" in out
    found = pd.read_csv(table)
    assert tuple(found.columns) == moments.COLUMNS
    means = found[found["feature"] == "pixel_mean"]["mean"].to_numpy()
    assert means[1:] / means[:-1] == pytest.approx([0.8, 0.8], rel=0.02)
    # Without captions there are no families.
    known = found[["within", "between"]].notna().all(axis=1)
    np.testing.assert_array_equal(known, found["generation"] < 2)
    code, out, _ = measure("--images", *folders[:2], "diversity", "nearest", "--csv", table)
    assert code == 0
    found = pd.read_csv(table)
    assert set(found["features"]) == {"pixels"}
    assert "held-out real images" not in set(found["reference"])
    code, *_ = measure("--images", *folders[:1], "kid", "--reference", folders[1], "--csv", table)
    assert code == 0
    assert list(pd.read_csv(table)["reference"]) == ["held-out real images"]


def test_folders_without_names_get_every_trait_of_pixels(measure, folders):
    code, out, _ = measure("--images", *folders)
    assert code == 0
    for name in every_trait():
        needs_more = name in ("latent", "latent_pc", "classifier", "saturation", "colourfulness")
        assert (name in out) != needs_more, name


def test_folders_of_different_images(measure, folders, tmp_path):
    odd = tmp_path / "odd"
    write_images(odd, [np.zeros((8, 9, 3), np.uint8), np.zeros((9, 8, 3), np.uint8)])
    code, _, said = measure("--images", odd, "entropy")
    assert code == 2
    assert "'00001.png' has 8 x 9 pixels and '00000.png' 9 x 8; give --side" in said
    assert measure("--images", odd, "saturation", "--side", "16")[0] == 0
    write_images(tmp_path / "small", [np.zeros((8, 8, 3), np.uint8)] * 2)
    code, _, said = measure("--images", folders[0], tmp_path / "small", "entropy")
    assert code == 2
    assert "have 8 x 8 pixels, those of" in said
    assert "32 x 32 pixels: give --side to make the sizes equal" in said


def test_grey_folders_among_coloured_ones_are_without_colour(measure, folders, tmp_path):
    odd, table = tmp_path / "odd", tmp_path / "table.csv"
    write_images(odd, list(np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)))
    for places, grey in (((odd, folders[0]), 1), ((folders[0], odd), 0)):
        code, _, said = measure(
            "--images", *places, "saturation", "entropy", "--side", "16", "--csv", table
        )
        assert code == 0, said
        found = pd.read_csv(table).set_index(["feature", "generation"])["mean"]
        assert found["saturation", grey] == 0 < found["saturation", 1 - grey]
    # Colours of the real images count, too.
    code, _, said = measure(
        "--images", folders[0], "mmd", "--side", "16", "--reference", odd, "--csv", table
    )
    assert code == 0, said


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name a run, or folders with --images"),
        (["RUN"], "name a trait or a measure"),
        (["RUN", "sharpnes"], "no trait or measure 'sharpnes', did you mean 'sharpness'?"),
        (["RUN", "kd"], "did you mean 'kid'"),
        (["RUN", "xyzzy"], "no trait or measure 'xyzzy' (qtm measure --list shows all)"),
        (["RUN", "saturation"], "'saturation' is not defined for the images of generation 0"),
        (["RUN", "kid", "--features", "charm"], "no extractor 'charm'"),
        (["RUN", "clip:"], "names no weights"),
        (["RUN", "clip", "--offline"], "is not on this machine"),
        (["RUN", "kid", "--model", "digits"], "--model goes with --images"),
        (["RUN", "kid", "entropy", "--csv", "t.csv"], "--csv takes one table"),
        (["nowhere", "kid"], "not the folder of a run"),
        (["--images", "kid"], "there is no folder 'kid'"),
        (["--images", "A", "no/where", "kid"], "there is no folder 'no/where'"),
        (["--images", "A", "latent"], "name one with --model"),
        (["--images", "A", "accuracy"], "'accuracy' is not defined for these images"),
        (["--images", "A", "kid"], "'kid' is not defined for these images"),
        (["--images", "A", "kid", "--reference", "gone"], "'gone' is not a folder of images"),
        (["--images", "EMPTY", "kid"], "holds no images"),
    ],
)
def test_a_mistake_is_said_and_changes_nothing(
    measure, run, folders, tmp_path, monkeypatch, words, sentence
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    (tmp_path / "empty").mkdir()
    places = {"RUN": run, "A": folders[0], "EMPTY": tmp_path / "empty"}
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, _, said = measure(*(places.get(word, word) for word in words))
    assert code == 2
    assert sentence in said
    sentences = [line for line in said.splitlines() if not line.startswith("measure: ")]
    assert len(sentences) == 1
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    after.pop(run / ".lock", None)
    assert after == before


def test_a_run_at_work_is_left_alone(measure, run):
    with claimed(run, "run"):
        code, _, said = measure(run, "entropy")
    assert code == 2
    assert "another process is at work" in said


def test_a_removed_image_is_named(measure, run):
    (run / "gen_001" / "images" / "00003.png").unlink()
    code, _, said = measure(run, "entropy")
    assert code == 2
    assert "00003.png" in said
    assert "entropy" not in open_run(run).generation(0).traits()


def test_the_list_names_everything(measure):
    code, out, _ = measure("--list")
    assert code == 0
    shown = {line.split()[0] for line in out.splitlines() if line.startswith("  ")}
    assert shown == {
        *every_trait(),
        *every_measure(),
        "clip",
        "dinov2",
        "inception",
        "pixels",
        *DRAWS,
    }
    assert all(len(line) <= 100 for line in out.splitlines())


def test_pixels_are_measured_without_torch(run, folders):
    code = """
    from qtm.__main__ import main
    for words in {commands}:
        sys.argv = ["qtm", "measure", *words]
        try:
            main()
        except SystemExit as end:
            assert not end.code, words
    print("all done")
    """
    pixels = ["entropy", "spectral_slope"]
    commands = [
        ["--list"],
        [str(run), *pixels],
        [str(run), "vendi", "diversity", "--features", "pixel_mean"],
        ["--images", *map(str, folders), *pixels],
        ["--images", *map(str, folders), "nearest", "precision"],
    ]
    result = run_without_chain_libraries(code.format(commands=commands))
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("all done\n")


def test_what_is_not_defined_costs_nothing_else(measure, run):
    with pytest.warns(UserWarning, match="'saturation' is not defined for the images of gen.* 0"):
        code, out, _ = measure(run, "saturation", "entropy")
    assert code == 0
    assert "entropy" in out
    assert "entropy" in open_run(run).generation(0).traits()


def test_an_undefined_measure_costs_no_other(measure, folders):
    with pytest.warns(UserWarning, match="'accuracy' is not defined for these images"):
        code, out, _ = measure("--images", folders[0], "accuracy", "vendi")
    assert code == 0
    assert "vendi" in out


def test_every_measure_that_fails_is_said_to_the_end(measure, folders):
    """One that has no weights on this machine hides no other that is not defined."""
    with (
        pytest.warns(UserWarning, match="is not on this machine"),
        pytest.warns(UserWarning, match="'accuracy' is not defined for these images"),
    ):
        code, out, _ = measure(
            "--images", folders[0], "clip_score", "accuracy", "vendi", "--offline"
        )
    assert code == 0
    assert "vendi" in out


def test_a_finished_run_is_measured_as_it_was_while_it_ran(tiny_run):
    """The same code and seeds: every number that a chain wrote comes out again, to the last bit."""
    source = sources.of_run(open_run(tiny_run.folder))
    written = {
        (g.number, row["measure"], row["reference"]): (row["value"], row["low"], row["high"])
        for g in tiny_run.generations()
        for row in g.metrics()["measures"]
    }
    names = list(dict.fromkeys(measure for _, measure, _ in written))
    with threadpool_limits(1, user_api="blas"):
        table = remeasuring.measure_sets(source, names, None, tiny_run.recipe.seed)
    again = {
        (
            row.generation,
            row.measure,
            row.reference if isinstance(row.reference, str) else None,
        ): tuple(None if np.isnan(number) else number for number in (row.value, row.low, row.high))
        for row in table.itertuples()
    }
    assert len(written) > 60
    assert again == written
