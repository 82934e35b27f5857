"""Drawings with names: read from archives, captioned, split by names, kept on one sheet."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from empirical import embedded
from empirical.embedded import _drawings
from empirical.errors import UserError
from empirical.pretraining.emoji import drawings, splits
from empirical.pretraining.emoji.captions import FAMILIES, caption

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
        {"unified": code, "category": category, "subcategory": family, "sort_order": i,
         "image": f"{code.lower()}.png", "short_names": ["apple"]}
        for i, (code, category, family, _) in enumerate(rows)
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
    found = {drawing.artist: drawing for drawing in drawings.read(archives)}
    assert set(found) == {"noto", "twemoji", "noto-v1", "fxemoji", "fluent-3d"}
    for artist, drawing in found.items():
        assert (drawing.name, drawing.caption, drawing.family) == (
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


def imagined(artist, count, families=("a fruit", "a tool")):
    pixels = np.zeros((32, 32, 3), np.uint8)
    return [
        drawings.Drawing(pixels, artist, f"name {i}", f"a name {i}", families[i % len(families)])
        for i in range(count)
    ]


def test_names_are_kept_apart_not_only_drawings():
    every = [*imagined("noto", 200), *imagined("fxemoji", 150), *imagined("fluent-3d", 180)]
    parts = splits.part_of_names(every)
    counts = {part: list(parts.values()).count(part) for part in set(parts.values())}
    assert counts == {"base": 120, "judge": 40, "new": 20, "reference": 20}
    captions = [set(splits.of_artists(every, part).captions) for part in counts]
    assert sum(map(len, captions)) == len(set().union(*captions)) == 200
    images, rows = splits.finetuned(every)
    assert len(images) == len(rows) == 180
    new = [row for row in rows if parts[row["name"]] == "new"]
    assert {row["part"] for row in new} == {"real"}
    assert all((parts[row["name"]] == "base") == (row["known"] == "true") for row in rows)


def test_a_sheet_holds_drawings_to_the_bit(tmp_path, monkeypatch):
    images = embedded.load("digits", "real").take(range(40))
    coloured = embedded.Captioned(
        np.repeat(images.images, 3, -1) ^ np.uint8(3), images.captions, images.families
    )
    rows = [{"part": "real" if i % 2 else "reference", "caption": text, "family": "a digit"}
            for i, text in enumerate(images.captions)]  # fmt: skip
    _drawings.save(tmp_path, coloured, rows)
    monkeypatch.setattr(_drawings, "FOLDER", tmp_path)
    _drawings.table.cache_clear()
    _drawings._all.cache_clear()
    try:
        real = _drawings.chosen("part", "real", "caption")
        assert (real.images == coloured.images[1::2]).all()
        assert real.captions == coloured.captions[1::2]
    finally:
        _drawings.table.cache_clear()
        _drawings._all.cache_clear()


def test_the_embedded_drawings_are_as_their_card_says():
    for name, counts in (("emoji", (500, 491)), ("emoji-families", (500, 232))):
        real, reference = (embedded.load(name, part) for part in ("real", "reference"))
        assert (len(real), len(reference)) == counts
        both = {pixels.tobytes() for pixels in real.images}
        assert len(both & {pixels.tobytes() for pixels in reference.images}) <= 2
    real = embedded.load("emoji", "real")
    assert len(set(real.captions)) == 500
    assert set(real.families) <= set(FAMILIES.values())
    families = embedded.load("emoji-families", "real").captions
    assert {families.count(family) for family in set(families)} <= set(range(14, 19))
    known = _drawings.table().query("part == 'real'")["known"]
    assert (~known).sum() == 99
    size = sum(path.stat().st_size for path in _drawings.FOLDER.iterdir())
    assert size < 4e6
