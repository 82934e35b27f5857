"""Drawings with names: read from archives, captioned, split by names, kept on one sheet."""

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from empirical import embedded, sheet
from empirical.errors import UserError
from empirical.pretraining.emoji import __main__ as making
from empirical.pretraining.emoji import drawings, splits
from empirical.pretraining.emoji.captions import CATEGORIES, caption
from empirical.pretraining.plans import emoji as emoji_plan

FOLDER = Path(embedded.__file__).parent / "files" / "emoji"
PARTS = ("real", "reference")
GREEN, RED = (0, 128, 0), (200, 0, 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("red apple", "a red apple"),
        ("umbrella", "an umbrella"),
        ("unicorn", "a unicorn"),
        ("hourglass done", "an hourglass done"),
        ("glass of milk", "a glass of milk"),
        ("grapes", "grapes"),
        ("cactus", "a cactus"),
        ("skull and crossbones", "a skull and crossbones"),
        ("face with tears of joy", "a face with tears of joy"),
        ("cooked rice", "cooked rice"),
        ("two hearts", "two hearts"),
        ("piñata", "a pinata"),
        ("T-Rex", "a t rex"),
        ("woman’s hat", "a womans hat"),
        ("x-ray", "an x ray"),
        ("1st place medal", "a first place medal"),
        ("unlocked", "an open lock"),
        ("shaved ice", "shaved ice"),
    ],
)
def test_a_caption_is_what_a_person_would_write(name, text):
    assert caption(name) == text


def packed(folder, name, members):
    with tarfile.open(folder / name, "w:gz") as archive:
        for path, content in members.items():
            entry = tarfile.TarInfo(f"package/{path}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def picture(colour, side, kind="PNG"):
    """A square on a transparent ground, in the middle."""
    image = Image.new("RGBA", (side, side))
    image.paste((*colour, 255), (side // 4, side // 4, 3 * side // 4, 3 * side // 4))
    stream = io.BytesIO()
    image.save(stream, kind, lossless=True)
    return stream.getvalue()


@pytest.fixture
def archives(tmp_path):
    """Packages as published, of a red apple, a flag and the face of a clock."""
    rows = [("1F34E", "Food & Drink", "food-fruit", "red apple"),
            ("1F3F4", "Flags", "flag", "black flag"),
            ("1F550", "Travel & Places", "time", "one o’clock")]  # fmt: skip
    listed = [
        {"unified": code, "category": category, "subcategory": kind, "sort_order": i,
         "image": f"{code.lower()}.png", "short_names": ["apple"]}
        for i, (code, category, kind, _) in enumerate(rows)
    ]  # fmt: skip
    names = [{"hexcode": code, "label": label} for code, _, _, label in rows]
    square = '<path fill="#008000" d="M4 4h8v8H4z"/>'
    files = drawings.ARCHIVES
    google, twitter = (files[f"emoji-datasource-{name}@16.0.0"] for name in ("google", "twitter"))
    packed(tmp_path, google, {
        "emoji.json": json.dumps(listed).encode(),
        "img/google/64/1f34e.png": picture(RED, 64),
        "img/google/64/1f3f4.png": picture(RED, 64),
    })  # fmt: skip
    packed(tmp_path, twitter, {"img/twitter/64/1f34e.png": picture(GREEN, 64)})
    packed(tmp_path, files["emojibase-data@17.0.0"], {"en/data.json": json.dumps(names).encode()})
    for package, icon in (
        ("@iconify-json/noto-v1@1.2.5", "red-apple"),
        ("@iconify-json/emojione@1.2.3", "green-apple"),
        ("@iconify-json/fxemoji@1.2.2", "redapple"),
    ):
        content = {"width": 16, "height": 16, "icons": {icon: {"body": square}}}
        packed(tmp_path, files[package], {"icons.json": json.dumps(content).encode()})
    packed(
        tmp_path,
        files["@lobehub/fluent-emoji-3d@1.1.0"],
        {"assets/1f34e.webp": picture(RED, 256, "WEBP")},
    )
    return tmp_path


def test_drawings_are_read_from_what_artists_publish(archives):
    drawn = {drawing.artist: drawing for drawing in drawings.read(archives)}
    assert set(drawn) == {"noto", "twemoji", "noto-v1", "fxemoji", "fluent-3d"}
    for artist, drawing in drawn.items():
        assert (drawing.name, drawing.caption, drawing.category) == (
            "red apple", "a red apple", "a fruit",
        )  # fmt: skip
        assert drawing.pixels.shape == (32, 32, 3)
        assert (drawing.pixels[0, 0] == 255).all()
        colour = RED if artist in ("noto", "fluent-3d") else GREEN
        np.testing.assert_allclose(drawing.pixels[16, 16], colour, atol=2)


def test_archives_that_are_missing_are_named(archives, tmp_path):
    with pytest.raises(UserError, match=r"run 'npm pack emoji-datasource-google@16\.0\.0 "):
        list(drawings.read(tmp_path / "nowhere"))
    (archives / drawings.ARCHIVES["@iconify-json/fxemoji@1.2.2"]).unlink()
    with pytest.raises(UserError, match=r"run 'npm pack @iconify-json/fxemoji@1\.2\.2' in"):
        list(drawings.read(archives))


def imagined(artist, count, categories=("a fruit", "a tool")):
    pixels = np.zeros((32, 32, 3), np.uint8)
    return [
        drawings.Drawing(pixels, artist, f"name {i}", f"a name {i}", categories[i % 2])
        for i in range(count)
    ]


def test_names_are_kept_apart_not_only_drawings():
    every = [*imagined("noto", 200), *imagined("fxemoji", 150), *imagined("fluent-3d", 180)]
    parts = splits.part_of_names(every)
    counts = {part: list(parts.values()).count(part) for part in set(parts.values())}
    assert counts == {"base": 120, "classifier": 40, "new": 20, "reference": 20}
    captions = [set(splits.of_artists(every, part).captions) for part in counts]
    assert sum(map(len, captions)) == len(set().union(*captions)) == 200
    images, rows = splits.finetuned(every)
    assert len(images) == len(rows) == 180
    new = [row for row in rows if parts[row["name"]] == "new"]
    assert {row["part"] for row in new} == {"real"}
    assert all((parts[row["name"]] == "base") == (row["known"] == "true") for row in rows)


def test_the_reference_of_families_has_their_proportions():
    """Categories of 14 drawings and more; 500 of them are real, in each the same share."""
    sizes = {"a fruit": 300, "a tool": 240, "a bird": 60, "a lock": 10}
    pixels = np.zeros((32, 32, 3), np.uint8)
    every = [
        drawings.Drawing(pixels, "fluent-3d", f"{category} {i}", f"a name {i}", category)
        for category, size in sizes.items()
        for i in range(size)
    ]
    _, rows = splits.finetuned(every)
    real, reference = (
        [row["category"] for row in rows if row["family_part"] == part] for part in PARTS
    )
    assert (len(real), len(reference)) == (500, 100)
    for category, size in sizes.items():
        expected = 0 if size < 14 else size * 5 / 6
        assert abs(real.count(category) - expected) <= 1
        assert real.count(category) + reference.count(category) == (size if size >= 14 else 0)


def test_a_sheet_holds_images_to_the_bit(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    rows = [{"name": f"n {i}", "known": "true"} for i in range(40)]
    sheet.write(tmp_path, images, rows)
    again, table = sheet.read(tmp_path)
    assert (again == images).all()
    assert table.to_dict("records") == rows


def test_the_embedded_drawings_are_as_their_card_says():
    for name, counts in (("emoji", (500, 491)), ("emoji-families", (500, 232))):
        real, reference = (embedded.load(name, part) for part in PARTS)
        assert (len(real), len(reference)) == counts
        both = {pixels.tobytes() for pixels in real.images}
        assert not both & {pixels.tobytes() for pixels in reference.images}
    captions, table = embedded.load("emoji", "real").captions, sheet.read(FOLDER)[1]
    assert len(set(captions)) == 500
    assert set(table["category"]) <= set(CATEGORIES.values())
    assert list(table["caption"]) == [caption(name) for name in table["name"]]
    assert (table.query("part == 'real'")["known"] == "false").sum() == 99
    real, reference = (embedded.load("emoji-families", part).captions for part in PARTS)
    assert len(set(real)) == len(set(reference)) == 30
    assert all(abs(real.count(c) / 500 - reference.count(c) / 232) < 0.01 for c in set(real))
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 4e6


def test_the_command_makes_a_sheet_from_archives(archives, tmp_path, capsys):
    making.main([str(archives), str(tmp_path / "made")])
    images, table = sheet.read(tmp_path / "made")
    assert images.shape == (1, 32, 32, 3)
    assert table["caption"].item() == "a red apple"
    path = archives / drawings.ARCHIVES["emojibase-data@17.0.0"]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(SystemExit) as end:
        making.main([str(archives), str(tmp_path / "again")])
    assert end.value.code == 2
    assert f"the archive '{path}' is damaged" in capsys.readouterr().err
    packed(archives, path.name, {"other.json": b"{}"})
    with pytest.raises(UserError, match=r"has no 'en/data\.json': it is another version"):
        list(drawings.read(archives))


def test_the_plan_of_emoji_keeps_names_apart(monkeypatch):
    every = [
        replace(drawing, pixels=np.full((32, 32, 3), i % 256, np.uint8))
        for i, drawing in enumerate([*imagined("noto", 300), *imagined("fluent-3d", 300)])
    ]
    monkeypatch.setattr(drawings, "read", lambda folder: iter(every))
    plan = emoji_plan.plan(Path("archives"))
    parts = [set(each.captions) for each in (plan.base, plan.classified, plan.reference)]
    assert list(map(len, parts)) == [180, 60, 30]
    assert len(set().union(*parts)) == 270
    assert set(plan.real.captions) <= parts[0]
    assert plan.prompted == plan.real
    assert len(plan.captions) == 300 + 2
    assert plan.channels == 3
    assert plan.digest() != replace(plan, mirrored=False).digest()
