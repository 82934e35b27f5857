"""A run and its folder of photos: chosen once, and no longer needed than they have to be."""

import json
import shutil
import tarfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from empirical import files
from empirical.chain import loop
from empirical.data import real_images, recorded
from empirical.errors import UserError
from empirical.measuring import sources
from empirical.runs.record import Run
from tests.helpers.tiny_chain import contents, tiny

PROMPTS = ("a digit one", "a digit two")


def photos(folder, count=14):
    """Write grey photos with captions in turn."""
    for i in range(count):
        photo(folder, f"{i:02d}", i)
    return folder


def photo(folder, name, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 1), dtype=np.uint8)
    files.write_image(folder / f"{name}.png", pixels)
    files.write_text(folder / f"{name}.txt", PROMPTS[seed % 2])


def of(folder, training_set="replace", **changes):
    return tiny(
        data={"name": str(folder), "size": 6},
        finetune={"training_set": training_set, "steps": 1},
        generate={"steps": 1},
        **changes,
    )


@pytest.fixture(scope="module", params=["replace", "real"])
def whole(request, tmp_path_factory):
    """A finished run on photos, and its recipe."""
    place = tmp_path_factory.mktemp(request.param)
    recipe = of(photos(place / "photos"), request.param)
    return loop.run(recipe, place / "run"), recipe, place / "photos"


def broken_off(whole, place):
    """The run as if killed before its last generation, and a copy of its photos."""
    run, recipe, folder = whole
    shutil.copytree(run.folder, place / "run")
    shutil.rmtree(place / "run" / "gen_002")
    (place / "run" / "moments.csv").unlink()
    shutil.copytree(folder, place / "photos")
    table = recipe.data.model_copy(update={"name": str(place / "photos")})
    return place / "run", recipe.model_copy(update={"data": table})


def same(folder, run):
    ours, theirs = contents(folder), contents(run.folder)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


def test_what_is_chosen_is_what_the_data_say(whole):
    run, recipe, _ = whole
    real = real_images.real(recipe.data, 32, "L", recipe.seed)
    assert (run.generation(0).images() == real.images).all()
    assert run.generation(0).captions == list(real.captions)
    held_out, stored = real_images.held_out(recipe.settings, 32, "L"), recorded.held_out(run)
    if recipe.finetune.training_set == "real":
        assert stored is held_out is None
        drawn = real_images.real(recipe.data, 32, "L", recipe.seed, 2).images
        learnt = [
            files.read_image(run.folder / r["file_name"]) for r in run.generation(2).pedigree()
        ]
        assert (np.stack(learnt) == drawn).all()
    else:
        assert stored.shape == (6, 32, 32, 1)
        assert (stored == held_out).all()


def test_a_photo_added_before_a_resume_changes_nothing_but_is_mentioned(whole, tmp_path):
    folder, recipe = broken_off(whole, tmp_path)
    photo(tmp_path / "photos", "00a", 98)
    with pytest.warns(UserWarning, match="15 images, where there were 14"):
        loop.run(recipe, folder)
    same(folder, whole[0])


def test_photos_that_moved_are_the_same_data(whole, tmp_path):
    folder, recipe = broken_off(whole, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        loop.run(recipe, folder)
    same(folder, whole[0])


def test_photos_elsewhere_that_are_others_are_refused(whole, tmp_path):
    folder, recipe = broken_off(whole, tmp_path)
    for path in (tmp_path / "photos").glob("*.png"):
        photo(tmp_path / "photos", path.stem, 50 + int(path.stem))
    before = contents(folder)
    with pytest.raises(UserError, match="are not the same"):
        loop.run(recipe, folder)
    assert contents(folder) == before


def test_photos_that_are_gone_are_missed_only_where_they_are_needed(whole, tmp_path):
    run, recipe, photos_then = whole
    folder, _ = broken_off(whole, tmp_path)
    hidden = photos_then.with_name("hidden")
    photos_then.rename(hidden)
    try:
        if recipe.finetune.training_set == "real":
            before = contents(folder)
            with pytest.raises(
                UserError, match="is missing since the run began, which still needs"
            ):
                loop.run(recipe, folder)
            assert contents(folder) == before
            return
        with pytest.warns(UserWarning, match="keeps the images that it began with"):
            loop.run(recipe, folder)
        same(folder, run)
    finally:
        hidden.rename(photos_then)


def test_a_photo_that_a_later_draw_needs_must_be_as_it_was(whole, tmp_path):
    folder, recipe = broken_off(whole, tmp_path)
    if recipe.finetune.training_set != "real":
        pytest.skip("draws no photos again")
    photo(tmp_path / "photos", "13", 97)
    for name in ("00", "01", "02", "03", "04", "05"):
        photo(tmp_path / "photos", name, 60 + int(name))
    table = recipe.data.model_copy(update={"name": whole[1].data.name})
    run = Run(folder)
    shutil.rmtree(folder / "gen_001")
    moved = whole[2].with_name("aside")
    whole[2].rename(moved)
    (tmp_path / "photos").rename(whole[2])
    try:
        with pytest.raises(UserError, match="is changed since the run began, which still needs it"):
            loop.run(recipe.model_copy(update={"data": table}), folder)
        assert not run.generation(1).folder.exists()
    finally:
        shutil.rmtree(whole[2])
        moved.rename(whole[2])


def test_a_finished_run_needs_neither_photos_nor_model(whole, tmp_path, monkeypatch):
    run, recipe, photos_then = whole
    monkeypatch.setattr(loop, "load", lambda recipe: pytest.fail("loads its model"))
    hidden = photos_then.with_name("hidden")
    photos_then.rename(hidden)
    try:
        assert loop.run(recipe, run.folder) == run
        if recipe.finetune.training_set == "replace":
            assert sources.of_run(run).reference().shape == (6, 32, 32, 1)
    finally:
        hidden.rename(photos_then)


def test_held_out_images_are_verified(whole, tmp_path):
    folder, recipe = broken_off(whole, tmp_path)
    if recipe.finetune.training_set == "real":
        pytest.skip("has none")
    (folder / "held_out" / "00002.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"00002\.png' is changed since the run began"):
        loop.run(recipe, folder)
    # As the sentence says.
    (folder / "data.json").unlink()
    loop.run(recipe, folder)
    ours, theirs = contents(folder), contents(whole[0].folder)
    ours.pop("data.json"), theirs.pop("data.json")
    assert ours == theirs


def as_before(folder):
    """Make a run one of those that wrote nothing down of their data."""
    (folder / "data.json").unlink()
    shutil.rmtree(folder / "held_out", ignore_errors=True)


def test_an_older_run_resumes_and_then_carries_its_data(whole, tmp_path):
    folder, _ = broken_off(whole, tmp_path)
    as_before(folder)
    loop.run(whole[1], folder)
    same(folder, whole[0])


def test_an_older_run_whose_photos_changed_says_what_it_still_needs(whole, tmp_path):
    folder, recipe = broken_off(whole, tmp_path)
    as_before(folder)
    # As if it had been begun here.
    path = folder / "recipe.toml"
    old, new = whole[1].data.name, recipe.data.name
    path.write_text(path.read_text().replace(old, new))
    digest = real_digest(path)
    for done in folder.glob("gen_*/done.json"):
        done.write_text(json.dumps(json.loads(done.read_text()) | {"recipe": digest}))
    photo(tmp_path / "photos", "03", 96)
    photo(tmp_path / "photos", "00a", 99)
    photo(tmp_path / "photos", "00b", 98)
    before = contents(folder)
    with pytest.raises(UserError, match=r"still needs .*but the (images|captions) that"):
        loop.run(recipe, folder)
    assert contents(folder) == before
    if recipe.finetune.training_set == "replace":
        with pytest.warns(UserWarning, match="without held-out real images"):
            assert sources.of_run(Run(folder)).reference() is None


def real_digest(path):
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_several_data_sets_one_of_them_of_the_package(tmp_path):
    folder = photos(tmp_path / "photos")
    recipe = tiny(data={"name": ["digits", str(folder)], "size": 8}, finetune={"steps": 1})
    run = loop.run(recipe, tmp_path / "run")
    assert (recorded.held_out(run) == real_images.held_out(recipe.settings, 32, "L")).all()
    shutil.copytree(run.folder, tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "gen_000")
    for later in ("gen_001", "gen_002"):
        shutil.rmtree(tmp_path / "again" / later)
    loop.run(recipe, tmp_path / "again")
    same(tmp_path / "again", run)
    mixed = tiny(data={"name": [str(folder), "digits"], "size": 8}, finetune={"steps": 1})
    with pytest.raises(UserError, match=r"'data\.name' is"):
        loop.run(mixed, run.folder)


@pytest.mark.slow
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_longer_chain_begins_with_the_files_of_the_shorter_one(tiny_run, tmp_path, by_hand):
    longer = tiny(generations=3)
    at_once = loop.run(longer, tmp_path / "at once")
    folder = tmp_path / "run"
    shutil.copytree(tiny_run.folder, folder)
    if by_hand:
        path = folder / "recipe.toml"
        path.write_text(path.read_text().replace("generations = 2", "generations = 3"))
    loop.run(longer, folder)
    same(folder, at_once)
    with pytest.raises(UserError, match="can be lengthened, not shortened"):
        loop.run(tiny(), folder)


def test_generations_of_earlier_versions_are_recognised_in_a_longer_run(tiny_run, tmp_path):
    """They name the digest of the whole recipe, with the number of generations of that time."""
    folder: Path = tmp_path / "run"
    shutil.copytree(tiny_run.folder, folder)
    digest = real_digest(folder / "recipe.toml")
    for done in folder.glob("gen_*/done.json"):
        done.write_text(json.dumps(json.loads(done.read_text()) | {"recipe": digest}))
    as_before(folder)
    loop.run(tiny(generations=3), folder)
    assert len(Run(folder).generations()) == 4
    assert json.loads((folder / "gen_003" / "done.json").read_text())["recipe"] != digest
    loop.run(tiny(generations=3), folder)


def test_a_run_begun_by_an_earlier_version_is_resumed(tmp_path):
    """Interrupted in finetuning generation 1 by the code of November 2026; what it left stays, and
    the rest is what the code of today makes of the same recipe from the start."""
    with tarfile.open(Path(__file__).parent / "data" / "begun.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    folder = tmp_path / "begun"
    before, recipe = contents(folder), Run(folder).recipe
    loop.run(recipe, folder)
    after, new = contents(folder), contents(loop.run(recipe, tmp_path / "new").folder)
    assert {name: after[name] for name in before} == before
    assert after.keys() == new.keys()
    # Features of generation 0 are those of another processor, and measures compare with them.
    measured = {name for name in new if "/features/" in name or name.endswith("metrics.json")}
    measured |= {name for name in new if name.startswith("gen_000/")} | {"moments.csv"}
    # A new recipe also has the keys of later versions, in which this run has the defaults.
    assert set(after["recipe.toml"].splitlines()) < set(new["recipe.toml"].splitlines())
    assert Run(folder).recipe.settings.model == recipe.settings.model
    done = "gen_001/done.json"
    for name in new.keys() - measured - {"recipe.toml", done}:
        assert after[name] == new[name], name
    ours, theirs = (json.loads(files[done]) for files in (after, new))
    assert {**ours, "recipe": theirs["recipe"]} == theirs
    for number in (0, 1):
        ours = Run(folder).generation(number).metrics()
        theirs = Run(tmp_path / "new").generation(number).metrics()
        assert [(row["measure"], row["reference"]) for row in ours["measures"]] == [
            (row["measure"], row["reference"]) for row in theirs["measures"]
        ]


def test_copies_are_counted_within_a_folder_and_between_two(tmp_path):
    first, second = photos(tmp_path / "a", 8), tmp_path / "b"
    shutil.copyfile(first / "03.png", first / "03 (1).png")
    shutil.copyfile(first / "03.txt", first / "03 (1).txt")
    with pytest.warns(UserWarning, match=r"'.*/a': copies of other images.*: 1 \('.*/a/03\.png'\)"):
        recorded.choose(of(first).settings, 32, "L")
    (first / "03 (1).png").unlink()
    photos(second, 4)
    (first / "03 (1).txt").unlink()
    recipe = of(first, "real")
    table = recipe.data.model_copy(update={"name": [str(first), str(second)]})
    with pytest.warns(UserWarning, match=r"copies of other images.*: 4 \('.*/b/0\d\.png', "):
        recorded.choose(recipe.model_copy(update={"data": table}).settings, 32, "L")


def test_photos_that_differ_are_no_copies(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorded.choose(of(photos(tmp_path)).settings, 32, "L")


@pytest.mark.parametrize("training_set", ["replace", "real"])
def test_the_start_of_a_run_reads_each_photo_for_its_digest_once(
    tmp_path, digits, monkeypatch, training_set
):
    """Held-out photos and those of later draws too; a photo that is written again is read again."""
    folder = photos(tmp_path / "photos")
    read = Counter()
    read_bytes = Path.read_bytes

    def counted(path):
        if path.parent == folder and path.suffix == ".png":
            read[path.stem] += 1
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    real = loop.prepare(of(folder, training_set), tmp_path / "run", digits).real
    real.keep(Run(tmp_path / "run"))
    assert set(read.values()) == {1}
    assert len(read) == (14 if training_set == "real" else 12)
    before, name = read.copy(), next(iter(read))
    photo(folder, name, 99)
    if training_set == "real":
        with pytest.raises(UserError, match=f"{name}.png' is changed since the run began"):
            [real.draw(generation) for generation in range(1, 20)]
        assert read - before == {name: 1}


def test_embedded_sets_together_share_what_each_has_left_over(tmp_path):
    """Two sets have no reference of one; the images left over are in the run, as of folders."""
    recipe = tiny(
        data={"name": ["digits", "emoji"], "size": 8}, finetune={"steps": 1},
        generate={"steps": 1}, generations=1,
    )  # fmt: skip
    run = loop.run(recipe, tmp_path / "run")
    begun = recorded.choose(recipe.settings, 32, "L")
    assert begun.held_out.shape == (8, 32, 32, 1)
    resumed = recorded.of_run(recipe.settings, 32, "L", run.folder)
    assert (resumed.held_out == begun.held_out).all()
    assert (recorded.held_out(run) == begun.held_out).all()
    assert resumed.first().captions == begun.first().captions


def test_a_folder_that_was_named_like_an_embedded_set_stays_a_folder(tmp_path):
    images = [{"file": "a.png", "text": "t", "sha256": "s"}]
    row = {"name": "emoji", "size": 6, "embedded": False, "count": 6, "listing": "x",
           "chosen": [0], "held_out": [], "images": images}  # fmt: skip
    run = Run(tmp_path / "run")
    files.write_json(run.folder / "data.json", {"version": 1, "sets": [row], "held_out": {}})
    (data_set,) = recorded._recorded(run, tiny(data={"name": "emoji", "size": 6}).settings)
    assert not data_set.embedded
    assert data_set.row() == row
