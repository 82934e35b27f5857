"""Folders as people have them: hidden copies, tables, caption files, encodings, stray texts."""

import csv
import io
import json
import os
import shutil
import sys
import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from empirical import files, recipe
from empirical.chain import folder
from empirical.chain import loop as chain
from empirical.data import real_images
from empirical.data.photos import folders
from empirical.data.photos.captions import clean
from empirical.errors import UserError
from empirical.measuring import image_folder
from empirical.runs import kept
from empirical.runs.record import open_run
from empirical.sweeps import grid

APPLE = b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(90)
FOX, OWL = "a fox", "an owl"


def draw(path, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def album(folder, count=4, texts=(FOX, OWL)):
    """Images, with a caption file beside each if there are texts."""
    for i in range(count):
        draw(folder / f"{i}.png", i)
        if texts:
            (folder / f"{i}.txt").write_text(texts[i % len(texts)])
    return folder


def table(folder, rows, name="metadata.jsonl"):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name.endswith(".csv"):
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        path.write_text(text.getvalue(), newline="")
    else:
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


def rows_of(count=4, key="text", texts=(FOX, OWL)):
    return [{"file_name": f"{i}.png", key: texts[i % len(texts)]} for i in range(count)]


def remarks(read):
    """Return the result of a call, and its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = read()
    return result, [str(warning.message) for warning in caught]


def pairs(folder, column=None):
    return {photo.name: caption for photo, caption in real_images.captioned(folder, column)}


EXPECTED = {f"{i}.png": (FOX, OWL)[i % 2] for i in range(4)}


@pytest.fixture
def quiet():
    """Every warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def clutter(folder):
    """Files of systems and programs in a folder of photos."""
    for place in (".ipynb_checkpoints", "__MACOSX", "@eaDir", "#recycle", ".thumbnails/large"):
        draw(folder / place / "0.png")
        (folder / place / "0.txt").write_text("never")
    (folder / "@eaDir" / "SYNOPHOTO_THUMB_M.jpg").write_bytes(b"no image")
    for name in ("._0.png", "._0.txt", "._metadata.jsonl"):
        (folder / name).write_bytes(APPLE)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"\0\1")
    (folder / "sorted.png").mkdir()


@pytest.mark.parametrize("texts", [(FOX, OWL), None])
def test_hidden_copies_and_folders_with_an_images_name_are_no_data(texts, tmp_path):
    folder = album(tmp_path / "photos", texts=texts)
    clean_images, clean_captions = image_folder.read(folder)
    clutter(folder)
    with pytest.warns(UserWarning, match="hidden copies of images, left out: 7"):
        images, captions = image_folder.read(folder)
    np.testing.assert_array_equal(images, clean_images)
    assert captions == clean_captions
    if texts:
        with pytest.warns(UserWarning, match="hidden copies"):
            assert pairs(folder) == EXPECTED


def test_a_folder_within_a_hidden_one_is_data(tmp_path, quiet):
    assert pairs(album(tmp_path / ".cache" / "@eaDir" / "photos")) == EXPECTED


def test_a_table_that_names_hidden_files_is_read_without_them(tmp_path):
    folder = album(tmp_path, texts=None)
    (folder / "._0.png").write_bytes(APPLE)
    table(folder, [{"file_name": "._0.png", "text": FOX}, *rows_of()])
    with pytest.warns(UserWarning, match=r"rows that name hidden files, left out: 1 \('\._0\.png'"):
        assert pairs(folder) == EXPECTED


def test_a_copied_run_is_read_as_it_was(tiny_run, tmp_path):
    copy = open_run(shutil.copytree(tiny_run.folder, tmp_path / "copy"))
    for path in [path for path in copy.folder.rglob("*") if path.is_file()]:
        if not path.name.startswith("."):
            path.with_name(f"._{path.name}").write_bytes(APPLE)
    (copy.folder / ".DS_Store").write_bytes(b"\0")
    for generation, original in zip(copy.generations(), tiny_run.generations(), strict=True):
        assert generation.traits() == original.traits()
        np.testing.assert_array_equal(generation.images(), original.images())
        np.testing.assert_array_equal(generation.probes(), original.probes())
        assert [path.name for path in chain._weights(generation)] == [
            path.name for path in chain._weights(original)
        ]
    images = tiny_run.generation(1).images()
    assert copy.rebuild_moments().equals(tiny_run.moments())
    with pytest.warns(UserWarning, match=f"hidden copies of images, left out: {len(images)}"):
        images, _ = image_folder.read(copy.folder / "gen_001" / "images")
    np.testing.assert_array_equal(images, tiny_run.generation(1).images())


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "metadata.parquet"])
@pytest.mark.parametrize("key", ["text", "caption", "prompt", "Caption "])
def test_tables_of_every_format_and_column(name, key, tmp_path, quiet):
    folder = album(tmp_path, texts=None)
    table(folder, rows_of(key=key), name)
    assert pairs(folder) == EXPECTED


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv", "metadata.parquet"])
def test_another_column_can_be_named(name, tmp_path):
    folder = album(tmp_path, texts=None)
    rows = [{**row, "text": "a thing", "short": row["text"]} for row in rows_of()]
    table(folder, rows, name)
    assert set(pairs(folder).values()) == {"a thing"}
    assert pairs(folder, "short") == EXPECTED
    chosen = recipe.DataTable(name=str(folder), size=4, caption_column="short")
    assert sorted(real_images.real(chosen, 8, "L", 0).captions) == [FOX, FOX, OWL, OWL]
    with pytest.raises(UserError, match=r"'data\.caption_column' is 'long', .*'text', 'short'"):
        pairs(folder, "long")


def test_the_first_column_of_several_is_taken_and_that_is_said(tmp_path):
    folder = album(tmp_path, texts=None)
    table(folder, [{"prompt": "p", **row} for row in rows_of()])
    with pytest.warns(UserWarning, match=r"those of the column 'text' .*: 1 \('prompt'\)"):
        assert pairs(folder) == EXPECTED


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_spreadsheets_separate_by_other_signs_and_mark_byte_orders(delimiter, tmp_path, quiet):
    folder = album(tmp_path, texts=None)
    lines = ["file_name;text", *(f"{n};{t}" for n, t in EXPECTED.items())]
    text = "\r\n".join(lines).replace(";", delimiter)
    for encoding in ("utf-8-sig", "utf-16"):
        (folder / "metadata.csv").write_bytes(text.encode(encoding))
        assert pairs(folder) == EXPECTED


def test_a_quoted_caption_may_hold_commas_and_lines(tmp_path):
    folder = album(tmp_path, 1, None)
    table(folder, [{"file_name": "0.png", "text": 'a "red" fox,\nrunning'}], "metadata.csv")
    assert pairs(folder) == {"0.png": 'a "red" fox,\nrunning'}
    (folder / "metadata.csv").write_text("file_name,text\n0.png,a fox, running\n")
    with pytest.raises(UserError, match=r"line 2 of .* has 3 fields under a header of 2"):
        pairs(folder)


def test_splits_have_tables_of_their_own(tmp_path):
    for split, count in (("train", 4), ("test", 2)):
        album(tmp_path / split, count, None)
        table(tmp_path / split, rows_of(count))
    assert pairs(tmp_path / "train") == EXPECTED
    with pytest.warns(UserWarning, match="tables of captions: 2"):
        captioned = pairs(tmp_path)
    assert captioned["train/1.png"] == captioned["test/1.png"] == OWL
    assert len(captioned) == 6


def test_images_that_a_table_leaves_out_are_counted(tmp_path):
    folder = album(tmp_path, 6, None)
    (folder / "notes.pdf").write_bytes(b"%PDF")
    rows = [*rows_of(4), {"file_name": "4.png", "text": None}]
    table(folder, rows)
    captioned, (sentence,) = remarks(lambda: pairs(folder))
    assert captioned == EXPECTED
    assert "images not named in metadata.jsonl, left out: 1 ('5.png')" in sentence
    assert "an empty row, left out: 1 ('4.png')" in sentence
    assert "files that are not images and belong to none, left out: 1 ('notes.pdf')" in sentence


def test_one_of_two_tables_is_taken_and_contradictions_are_said(tmp_path):
    folder = album(tmp_path, texts=None)
    table(folder, rows_of())
    table(folder, rows_of(), "metadata.csv")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pairs(folder) == EXPECTED
    table(folder, rows_of(texts=(FOX, "a cat")), "metadata.csv")
    with pytest.warns(UserWarning, match=r"captions of 'metadata\.csv' that differ, not taken: 2"):
        assert pairs(folder) == EXPECTED


def test_tables_go_before_caption_files_and_contradictions_are_said(tmp_path):
    folder = album(tmp_path, texts=(FOX, "a cat"))
    table(folder, rows_of())
    with pytest.warns(UserWarning, match="captions beside the images that differ .*: 2"):
        assert pairs(folder) == EXPECTED


@pytest.mark.parametrize("name", ["{}.txt", "{}.caption", "{}.png.txt", "{}.png.caption", "{}.TXT"])
def test_captions_beside_images(name, tmp_path, quiet):
    folder = album(tmp_path, texts=None)
    for i in range(4):
        (folder / name.format(i)).write_text((FOX, OWL)[i % 2])
    assert pairs(folder) == EXPECTED


def test_caption_files_have_an_order_and_contradictions_are_said(tmp_path):
    folder = album(tmp_path)
    for i in range(4):
        (folder / f"{i}.caption").write_text((FOX, "a cat")[i % 2])
    with pytest.warns(UserWarning, match=r"several caption files that differ.*: 2 \('1\.png'"):
        assert pairs(folder) == EXPECTED


def test_names_of_kohyas_folders_are_captions(tmp_path):
    for i in range(2):
        draw(tmp_path / "10_a fox" / f"{i}.png", i)
        draw(tmp_path / "1_an owl" / f"{i}.png", i + 2)
    (tmp_path / "10_a fox" / "1.txt").write_text("a red fox")
    captioned, (sentence,) = remarks(lambda: pairs(tmp_path))
    assert captioned == {
        "10_a fox/0.png": FOX, "10_a fox/1.png": "a red fox",
        "1_an owl/0.png": OWL, "1_an owl/1.png": OWL,
    }  # fmt: skip
    assert "the name of their folder: 3" in sentence
    assert "with repeats, each taken once: 2" in sentence


def test_images_without_captions_are_counted_for_a_chain(tmp_path):
    folder = album(tmp_path)
    (folder / "1.txt").unlink()
    (folder / "3.txt").unlink()
    with pytest.raises(UserError, match=r"1\.png' has no caption \(of 4 images have none: 2"):
        pairs(folder)


def stray(folder, kind):
    """Folders to be measured whose texts and tables are not captions."""
    album(folder, texts=None)
    match kind:
        case "licence":
            (folder / "docs").mkdir()
            (folder / "docs" / "LICENSE.txt").write_text("MIT")
        case "settings":
            (folder / "params.txt").write_text("Steps: 20")
        case "some":
            (folder / "2.txt").write_text(FOX)
        case "labels":
            table(folder, [{"file_name": f"{i}.png", "label": i} for i in range(4)])
        case "broken table":
            (folder / "metadata.jsonl").write_text("{")
        case "lost images":
            table(folder, [*rows_of(), {"file_name": "gone.png", "text": FOX}])
        case "bytes":
            (folder / "0.txt").write_bytes(b"\xff\x00\xfa")
    return folder


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("licence", "left out: 1 ('docs/LICENSE.txt')"),
        ("settings", "left out: 1 ('params.txt')"),
        ("some", "is measured without captions: the image"),
        ("labels", "no captions in a column 'text', 'caption' or 'prompt': it has 'file_name', 'l"),
        ("broken table", "line 1 of"),
        ("lost images", "names 'gone.png', which does not exist"),
        ("bytes", "is not a text file in UTF-8"),
    ],
)
def test_measuring_needs_no_captions(kind, sentence, tmp_path, qtm):
    folder = stray(tmp_path / "made", kind)
    (images, captions), sentences = remarks(lambda: image_folder.read(folder))
    assert len(images) == 4
    assert captions is None
    assert any(sentence in remark for remark in sentences)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code, out, _ = qtm("measure", "--images", folder, "pixel_mean")
    assert code == 0
    assert "pixel_mean" in out


BOM = "\ufeff"


@pytest.mark.parametrize(
    "content",
    [
        "a fox".encode("utf-8-sig"),
        "a fox".encode("utf-16"),
        BOM.encode("utf-16-be") + "a fox".encode("utf-16-be"),
        "a fox".encode("utf-32"),
        b"  a fox\r\n\r\n",
        (BOM + " " + BOM + "a fox").encode(),
    ],
)
def test_captions_of_every_editor_are_one_family(content, tmp_path):
    album(tmp_path, 2)
    (tmp_path / "1.txt").write_bytes(content)
    assert set(pairs(tmp_path).values()) == {FOX}


def test_tables_are_normalised_as_caption_files_are(tmp_path):
    folder = album(tmp_path, texts=None)
    spelt = ["caf\u00e9\nbar", " caf\u00e9\r\nbar ", "cafe\u0301\nbar", BOM + "caf\u00e9\rbar\n"]
    for name in ("metadata.jsonl", "metadata.csv", "metadata.parquet"):
        path = table(
            folder, [{"file_name": f"{i}.png", "text": t} for i, t in enumerate(spelt)], name
        )
        assert set(pairs(folder).values()) == {"café\nbar"}
        path.unlink()


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_a_line_of_json_ends_at_a_newline_alone(sign, tmp_path, quiet):
    folder = album(tmp_path, 2, None)
    lines = [
        f'{{"file_name": "{i}.png", "text": {json.dumps(f"a{sign}b {i}", ensure_ascii=False)}}}'
        for i in range(2)
    ]
    if sign in "\x0b\x1c":
        lines = [json.dumps({"file_name": f"{i}.png", "text": f"a{sign}b {i}"}) for i in range(2)]
    (folder / "metadata.jsonl").write_bytes((BOM + "\r\n".join(lines) + "\r\n\r\n").encode())
    assert list(pairs(folder).values()) == [f"a{sign}b 0", f"a{sign}b 1"]


def test_text_without_a_mark_that_is_no_utf_8_is_refused(tmp_path):
    album(tmp_path, 2)
    for content in ("a fox".encode("utf-16-le"), "café".encode("cp1252"), b"\xff\xfea"):
        (tmp_path / "1.txt").write_bytes(content)
        with pytest.raises(UserError, match=r"1\.txt' is not a text file in .*save it as UTF-8"):
            pairs(tmp_path)


def test_a_caption_that_is_not_a_number_is_none(tmp_path):
    table(album(tmp_path, texts=None), [*rows_of(3), {"file_name": "3.png", "text": float("nan")}])
    with pytest.warns(UserWarning, match=r"an empty row, left out: 1 \('3\.png'\)"):
        assert len(pairs(tmp_path)) == 3


def test_half_a_character_is_refused_with_its_place(tmp_path):
    folder = album(tmp_path, 2, None)
    (folder / "metadata.jsonl").write_text(
        '{"file_name": "0.png", "text": "\\ud83e\\udd8a"}\n'
        '{"file_name": "1.png", "text": "a \\ud83e fox"}\n'
    )
    with pytest.raises(UserError, match=r"line 2 of .*metadata\.jsonl' holds '\\ud83e', which is"):
        pairs(folder)
    assert clean("\U0001f98a", "here") == "\U0001f98a"


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_macs_file_names_are_found(forms, tmp_path, quiet):
    of_image, of_text = (unicodedata.normalize(form, "café") for form in forms)
    draw(tmp_path / "a" / f"{of_image}.png")
    (tmp_path / "a" / f"{of_text}.txt").write_text(FOX)
    assert list(pairs(tmp_path / "a").values()) == [FOX]
    draw(tmp_path / "b" / f"{of_image}.png")
    table(tmp_path / "b", [{"file_name": f"{of_text}.png", "text": OWL}])
    assert list(pairs(tmp_path / "b").values()) == [OWL]


def test_a_table_written_on_windows_names_files_below(tmp_path, quiet):
    draw(tmp_path / "sub" / "0.png")
    table(tmp_path, [{"file_name": "sub\\0.png", "text": FOX}])
    assert pairs(tmp_path) == {"sub/0.png": FOX}


def test_links_that_lead_nowhere_are_counted(tmp_path):
    folder = album(tmp_path / "photos")
    (folder / "gone.png").symlink_to(tmp_path / "nothing.png")
    album(tmp_path / "more")
    (folder / "more").symlink_to(tmp_path / "more", target_is_directory=True)
    with pytest.warns(UserWarning, match=r"left out: 2 \('gone\.png', 'more'\)"):
        assert pairs(folder) == EXPECTED


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    folder = album(tmp_path / "photos")
    folder.chmod(0)
    try:
        with pytest.raises(UserError, match="cannot be read: Permission denied"):
            pairs(folder)
    finally:
        folder.chmod(0o755)


def test_a_folder_of_other_files_says_which(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"x")
    with pytest.raises(UserError, match=r"holds no images \(\.avif, .*\), but files \.heic"):
        pairs(tmp_path)


def test_photos_have_names_and_digests_that_a_move_keeps(tmp_path):
    first = real_images.captioned(album(tmp_path / "a"))
    other = real_images.captioned(shutil.copytree(tmp_path / "a", tmp_path / "b"))
    identities = [[(photo.name, photo.digest()) for photo, _ in each] for each in (first, other)]
    assert identities[0] == identities[1]
    assert len(set(identities[0])) == 4
    draw(tmp_path / "b" / "0.png", 99)
    assert other[0][0].digest() != first[0][0].digest()
    assert first[0][0].open().size == (12, 12)


def test_remarks_on_many_images_are_one_warning(tmp_path):
    album(tmp_path)
    for i in range(3):
        Image.new("RGBA", (12, 12), (0, 0, 0, i)).save(tmp_path / f"{i}.png")
    chosen = recipe.DataTable(name=str(tmp_path), size=4)
    _, (sentence,) = remarks(lambda: real_images.real(chosen, 8, "RGB", 0))
    assert "transparent pixels, put on white: 3 (" in sentence


def test_parquet_without_pyarrow_is_one_sentence(tmp_path, monkeypatch):
    table(album(tmp_path, texts=None), rows_of(), "metadata.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"'pyarrow' is not installed.*diffusion-qtm\[data\]"):
        pairs(tmp_path)


def test_a_broken_parquet_is_one_sentence(tmp_path):
    album(tmp_path, texts=None)
    (tmp_path / "metadata.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"metadata\.parquet' is damaged or not a parquet file"):
        pairs(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_recipes_and_grids_may_begin_with_a_byte_order_mark(encoding, tmp_path):
    path = tmp_path / "r.toml"
    path.write_bytes("generations = 3\r\n".encode(encoding))
    assert recipe.read(path).generations == 3
    path.write_bytes("[sweep]\nseed = [4, 5]\n".encode(encoding))
    assert [chain.seed for chain in grid.read(path).chains.values()] == [4, 5]


def test_a_recipe_without_a_caption_column_is_written_as_before():
    assert "caption_column" not in recipe.dump(recipe.Recipe())
    named = recipe.parse({"data": {"caption_column": "short"}})
    assert 'caption_column = "short"' in recipe.dump(named)
    assert named != recipe.Recipe()


def test_a_folder_with_nothing_but_system_files_is_free_for_a_run(tmp_path):
    clutter(tmp_path)
    (tmp_path / "sorted.png").rmdir()
    folder.require_unclaimed(tmp_path, recipe.Recipe())
    (tmp_path / "a.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty and holds no run"):
        folder.require_unclaimed(tmp_path, recipe.Recipe())


def test_hidden_copies_are_no_kept_runs(tiny_run, tmp_path, monkeypatch):
    path = kept.keep(tiny_run, tmp_path / "mine")
    path.with_name(f"._{path.name}").write_bytes(APPLE)
    (tmp_path / "__MACOSX").mkdir()
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    assert kept.names() == ["mine"]
    assert [run.name for run in kept.runs("mine")] == ["tiny"]


def test_tables_of_a_run_that_are_damaged_are_named(tiny_run, tmp_path):
    copy = open_run(shutil.copytree(tiny_run.folder, tmp_path / "copy"))
    (copy.folder / "moments.csv").write_text("")
    with pytest.raises(UserError, match=r"moments\.csv' is damaged"):
        copy.moments()


def test_rows_of_a_run_that_an_editor_wrote_again_are_read(tmp_path):
    rows = [{"text": "a\u2028fox"}, {"text": "an owl"}]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "rows.jsonl").write_bytes((BOM + text + "\r\n\r\n").encode())
    assert files.read_json_lines(tmp_path / "rows.jsonl") == rows


def test_a_caption_column_without_a_table_is_mentioned(tmp_path):
    folder = album(tmp_path)
    with pytest.warns(UserWarning, match=r"has no effect without a table: 1 \('short'\)"):
        assert pairs(folder, "short") == EXPECTED


def test_empty_captions_are_counted(tmp_path):
    folder = album(tmp_path, texts=(FOX, " \n"))
    with pytest.warns(UserWarning, match=r"empty captions: 2 \('1\.png', '3\.png'\)"):
        assert set(pairs(folder).values()) == {FOX, ""}


def test_a_file_name_that_is_no_text_is_read_and_named(tmp_path):
    album(tmp_path)
    strange = tmp_path / os.fsdecode(b"caf\xe9.png")
    draw(strange)
    with pytest.raises(UserError, match="has no caption"):
        pairs(tmp_path)
    strange.with_suffix(".txt").write_text(FOX)
    assert len(pairs(tmp_path)) == 5


def test_every_lists_all_images_whatever_captions(tmp_path, quiet):
    album(tmp_path, 3)
    (tmp_path / "1.txt").unlink()
    assert [photo.name for photo in folders.every(tmp_path)] == ["0.png", "1.png", "2.png"]
