"""Data sets of the library datasets, saved in a folder or from the hub."""

import sys

import numpy as np
import pytest
from PIL import Image

from empirical.chain import loop
from empirical.data import real_images
from empirical.errors import UserError
from empirical.measuring import image_folder
from empirical.recipe import DataTable

datasets = pytest.importorskip("datasets")

SIDE, N = 32, 12
TEXTS = ["a fox", "an owl"]


def drawn(i, side=SIDE):
    pixels = np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def dataset(texts="caption", count=N, **columns):
    """Images in a column of images, and texts by any name."""
    table = {"image": [drawn(i) for i in range(count)], **columns}
    if texts:
        table[texts] = [f" {TEXTS[i % 2]}\r\n" for i in range(count)]
    return datasets.Dataset.from_dict(table).cast_column("image", datasets.Image())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "foxes"
    dataset(id=[f"n{i}" for i in range(N)]).save_to_disk(folder)
    return folder


def captions(place, column=None):
    return [caption for _, caption in real_images.captioned(place, column)]


def test_a_saved_data_set_is_read_by_type_and_name(saved):
    pairs = real_images.captioned(saved)
    assert [caption for _, caption in pairs] == TEXTS * (N // 2)
    assert [photo.name for photo, _ in pairs] == [str(i) for i in range(N)]
    for i, (photo, _) in enumerate(pairs):
        np.testing.assert_array_equal(np.asarray(photo.open()), np.asarray(drawn(i)))
    assert len({photo.digest() for photo, _ in pairs}) == N
    population = real_images.real(DataTable(name=str(saved), size=N), 16, "L", 0)
    assert population.images.shape == (N, 16, 16, 1)
    assert set(captions(saved, "id")) == {f"n{i}" for i in range(N)}


def test_a_saved_data_set_is_measured_too(saved, tmp_path):
    images, captions = image_folder.read(saved)
    assert images.shape == (N, SIDE, SIDE, 3)
    assert captions == tuple(TEXTS) * (N // 2)
    dataset(None).save_to_disk(tmp_path / "bare")
    again, captions = image_folder.read(tmp_path / "bare")
    np.testing.assert_array_equal(again, images)
    assert captions is None


def test_the_training_split_is_taken(tmp_path):
    parts = datasets.DatasetDict(train=dataset(), test=dataset(count=4))
    parts.save_to_disk(tmp_path / "both")
    assert len(captions(tmp_path / "both")) == N
    assert len(captions(tmp_path / "both" / "test")) == 4
    datasets.DatasetDict(a=dataset(), b=dataset()).save_to_disk(tmp_path / "odd")
    with pytest.raises(UserError, match="has the splits 'a', 'b' and none called 'train'"):
        captions(tmp_path / "odd")


def test_one_column_of_text_or_of_classes_is_the_caption(tmp_path):
    dataset("title").save_to_disk(tmp_path / "title")
    with pytest.warns(UserWarning, match=r"captions are those of the column: 1 \('title'\)"):
        assert captions(tmp_path / "title") == TEXTS * (N // 2)
    kinds = datasets.ClassLabel(names=TEXTS)
    labelled = dataset(None, label=[i % 2 for i in range(N)]).cast_column("label", kinds)
    labelled.save_to_disk(tmp_path / "classes")
    with pytest.warns(UserWarning, match=r"of the column: 1 \('label'\)"):
        assert captions(tmp_path / "classes") == TEXTS * (N // 2)
    dataset("a", b=["x"] * N).save_to_disk(tmp_path / "two")
    with pytest.raises(
        UserError, match=r"no captions in a column 'text'.*it has 'image', 'b', 'a'"
    ):
        captions(tmp_path / "two")
    dataset(None, label=list(range(N))).save_to_disk(tmp_path / "numbers")
    with pytest.raises(UserError, match="'label' must be a string"):
        captions(tmp_path / "numbers", "label")


def test_rows_without_a_caption_are_counted(tmp_path):
    dataset(None, text=["a fox", None] * (N // 2)).save_to_disk(tmp_path / "some")
    with pytest.warns(UserWarning, match="rows without a caption, left out: 6"):
        pairs = real_images.captioned(tmp_path / "some")
    assert [photo.name for photo, _ in pairs] == ["0", "2", "4", "6", "8", "10"]


def test_deep_images_of_a_data_set_keep_their_greys(tmp_path):
    ramp = np.linspace(0, 65535, 64).reshape(8, 8).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "x.png")
    rows = {"image": [str(tmp_path / "x.png")] * 2, "text": TEXTS}
    deep = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())
    deep.save_to_disk(tmp_path / "deep")
    images, _ = image_folder.read(tmp_path / "deep")
    np.testing.assert_allclose(images[0, ..., 0], ramp / 257, atol=0.51)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """The hub as it answers: one data set of this machine, and no network."""
    rows = dataset()

    def load(name, **options):
        if name != "someone/foxes":
            raise ConnectionError(f"Couldn't reach '{name}' on the Hub\nand a long story")
        return datasets.DatasetDict(train=rows)

    monkeypatch.setattr(datasets, "load_dataset", load)


def test_a_data_set_of_the_hub_is_a_recipes_data(hub, digits, tmp_path):
    from tests.helpers.tiny_chain import tiny

    recipe = tiny(data={"name": "hub:someone/foxes", "size": N})
    real = loop.prepare(recipe, tmp_path / "run", digits).real.first()
    assert real.images.shape == (N, 32, 32, 1)
    assert sorted(set(real.captions)) == TEXTS


def test_an_unknown_data_set_is_one_sentence(hub):
    with pytest.raises(UserError, match="'hub:no/such' cannot be loaded from the hub") as caught:
        real_images.real(DataTable(name="hub:no/such", size=4), 16, "L", 0)
    assert "\n" not in str(caught.value)


def test_load_dataset_itself_reads_a_folder(tmp_path, monkeypatch):
    """The library's reader, of files on this machine."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "metadata.jsonl").write_text(
        "".join(f'{{"file_name": "{i}.png", "text": "{TEXTS[i % 2]}"}}\n' for i in range(4))
    )
    for i in range(4):
        drawn(i).save(folder / f"{i}.png")
    real = real_images.real(DataTable(name=f"hub:{folder}", size=4), SIDE, "RGB", 0)
    assert sorted(real.captions) == sorted(TEXTS * 2)
    assert {image.tobytes() for image in real.images} == {drawn(i).tobytes() for i in range(4)}


def test_what_is_wrong_with_a_data_set_is_one_sentence(tmp_path):
    datasets.Dataset.from_dict({"text": TEXTS}).save_to_disk(tmp_path / "texts")
    with pytest.raises(UserError, match="has no column of images: it has 'text'"):
        captions(tmp_path / "texts")
    two = datasets.Dataset.from_dict({"left": [drawn(0)], "right": [drawn(1)]})
    assert all(isinstance(kind, datasets.Image) for kind in two.features.values())
    two.save_to_disk(tmp_path / "two")
    with pytest.raises(UserError, match="several columns of images, 'left', 'right'"):
        captions(tmp_path / "two")
    dataset().save_to_disk(tmp_path / "cut")
    next((tmp_path / "cut").glob("*.arrow")).write_bytes(b"no arrow")
    with pytest.raises(UserError, match="is damaged, or was written by another version"):
        captions(tmp_path / "cut")


def test_without_the_library_it_says_what_to_install(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    for place in (saved, "hub:someone/foxes"):
        with pytest.raises(UserError, match=r"'datasets' is not installed.*diffusion-qtm\[data\]"):
            real_images.real(DataTable(name=str(place), size=4), 16, "L", 0)


def test_the_format_of_a_saved_data_set_changes_nothing(saved, tmp_path):
    """A format may show some columns only, and images as tensors."""
    rows = dataset(id=[f"n{i}" for i in range(N)])
    expected = [photo.digest() for photo, _ in real_images.captioned(saved)]
    for name, formatted in {
        "numpy": rows.with_format("numpy"),
        "hidden": rows.with_format("numpy", columns=["caption"]),
    }.items():
        formatted.save_to_disk(tmp_path / name)
        assert [photo.digest() for photo, _ in real_images.captioned(tmp_path / name)] == expected
        assert captions(tmp_path / name) == TEXTS * (N // 2)


def test_a_row_without_an_image_is_named(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    table = {"image": [drawn(0), None], "text": TEXTS}
    datasets.Dataset.from_dict(table, features=features).save_to_disk(tmp_path / "gap")
    with pytest.raises(UserError, match="gap, row 1' is empty: leave the row out"):
        image_folder.read(tmp_path / "gap")
