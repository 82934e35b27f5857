"""Files with misleading names, tables written by spreadsheets, damaged images."""

import io
import json
import random
import warnings

import numpy as np
import pytest
from PIL import Image, features

from empirical.data import real_images
from empirical.data.photos import folders
from empirical.errors import UserError
from empirical.images import opening
from empirical.images.notes import Notes
from empirical.measuring import image_folder

LYNX, WREN = "a lynx", "a wren"
ISO = b"\0\0\0\x18ftyp"
NO_IMAGES = {
    "an empty file": b"",
    "a file of zeros": bytes(4096),
    "a HEIC image: save it as JPEG or PNG": ISO + b"heic" + bytes(40),
    "a HEIF image: save it as JPEG or PNG": ISO + b"mif1" + bytes(40),
    "a film": ISO + b"qt  " + bytes(40),
    "a web page": b"\n<!DOCTYPE html><html><body>Not found</body></html>",
    "an SVG drawing": b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "a PDF": b"%PDF-1.7\n",
}


def picture(seed=0, mode="RGB"):
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def album(folder, count=4):
    folder.mkdir(exist_ok=True)
    for i in range(count):
        picture(i).save(folder / f"{i}.png")
    return folder


def pairs(folder, column=None):
    return {photo.name: caption for photo, caption in real_images.captioned(folder, column)}


def remark_on(read):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = read()
    return result, " ".join(str(warning.message) for warning in caught)


@pytest.mark.parametrize("kind", NO_IMAGES)
def test_what_is_no_image_is_called_by_its_kind(kind, tmp_path):
    (tmp_path / "x.jpg").write_bytes(NO_IMAGES[kind])
    with pytest.raises(UserError, match=rf"x\.jpg' is not an image but {kind}"):
        image_folder.read(tmp_path)


def encoded(kind, image):
    content = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 3
    options = {"JPEG": {"exif": exif}, "PNG": {"exif": exif}, "TIFF": {"compression": "tiff_lzw"}}
    image.save(content, kind, **options.get(kind, {}))
    return content.getvalue()


@pytest.mark.parametrize("kind", ["AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP", "MPO"])
def test_a_damaged_image_is_refused_in_a_sentence(kind):
    """Decoders raise errors of a dozen kinds, of which none may reach the user as it is."""
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    intact, chance = encoded(kind, picture()), random.Random(kind)
    assert opening.read(intact, "x").size == (24, 20)
    refused = 0
    for _ in range(150):
        content = bytearray(intact)
        if chance.random() < 0.4:
            del content[chance.randrange(len(content)) :]
        for _ in range(chance.choice([0, 1, 4, 16])):
            if content:
                content[chance.randrange(min(len(content), 300))] = chance.randrange(256)
        try:
            opening.read(bytes(content), "x")
        except UserError:
            refused += 1
    assert refused > 20


def test_damage_beside_the_pixels_is_said_with_the_name_of_the_file(tmp_path):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01\x0f\0\2"
    picture().save(tmp_path / "x.jpg", exif=exif, quality=95)
    notes = Notes("album")
    read, remark = remark_on(lambda: opening.read(tmp_path / "x.jpg", "x.jpg", notes))
    assert read.size == (24, 20)
    assert remark == ""
    with pytest.warns(UserWarning, match=rf"{opening.DAMAGED}: 1 \('x\.jpg'\)"):
        notes.warn()


def test_a_large_photo_is_no_attack(tmp_path, monkeypatch):
    picture().save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    assert remark_on(lambda: image_folder.read(tmp_path)[0].shape) == ((1, 20, 24, 3), "")


def test_a_warning_of_others_is_not_swallowed(tmp_path, monkeypatch):
    picture().save(tmp_path / "x.png")
    plain = opening.plain

    def with_a_remark(*given):
        warnings.warn("from elsewhere", stacklevel=2)
        return plain(*given)

    monkeypatch.setattr(opening, "plain", with_a_remark)
    assert "from elsewhere" in remark_on(lambda: opening.read(tmp_path / "x.png", "x"))[1]


def test_a_table_may_name_films_and_formats_that_are_not_read(tmp_path):
    album(tmp_path)
    (tmp_path / "4.HEIC").write_bytes(ISO + b"heic" + bytes(40))
    (tmp_path / "5.mov").write_bytes(ISO + b"qt  " + bytes(40))
    picture(6).save(tmp_path / "6.jpg_large", "JPEG")
    names = ["0.png", "1.png", "4.HEIC", "5.mov", "6.jpg_large"]
    rows = [json.dumps({"file_name": name, "text": LYNX}) for name in names]
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows))
    captioned, remark = remark_on(lambda: pairs(tmp_path))
    assert list(captioned) == ["0.png", "1.png", "6.jpg_large"]
    assert "rows that name files that are not images, left out: 2 ('4.HEIC', '5.mov')" in remark
    assert "belong to none" not in remark


@pytest.mark.parametrize(
    "lines",
    [
        ["sep=;", "file_name;text", "0.png;a lynx", "1.png;a wren"],
        ["file_name;text;;", "0.png;a lynx;;", "1.png;a wren;;", ";;;", ";;;"],
        ['"file_name", "text"', '"0.png", "a lynx"', '1.png, "a wren"'],
        ["file_name,text", " 0.png ,a lynx", "1.png , a wren "],
        ["file_name\ttext", "0.png\ta lynx", "./1.png\ta wren", "\t"],
    ],
)
def test_tables_as_spreadsheets_leave_them(lines, tmp_path):
    album(tmp_path, 2)
    (tmp_path / "metadata.csv").write_bytes("\r\n".join(["\ufeff" + lines[0], *lines[1:]]).encode())
    assert remark_on(lambda: pairs(tmp_path)) == ({"0.png": LYNX, "1.png": WREN}, "")


def test_an_empty_field_is_no_caption_as_null_is_none(tmp_path):
    album(tmp_path, 3)
    (tmp_path / "metadata.csv").write_text(f"file_name,text\n0.png,{LYNX}\n1.png,\n2.png,{WREN}\n")
    captioned, remark = remark_on(lambda: pairs(tmp_path))
    assert captioned == {"0.png": LYNX, "2.png": WREN}
    assert "images with an empty row, left out: 1 ('1.png')" in remark


def test_one_image_has_one_name_however_a_table_spells_it(tmp_path, monkeypatch):
    album(tmp_path / "a", 3)
    monkeypatch.chdir(tmp_path)
    spelt = [f"{tmp_path}/a/0.png", "../a/1.png", "./2.png"]
    rows = [json.dumps({"file_name": name, "text": LYNX}) for name in spelt]
    (tmp_path / "a" / "metadata.jsonl").write_text("\n".join(rows))
    captioned, remark = remark_on(
        lambda: [p.name for p, _ in folders.captioned(tmp_path.__class__("a"))]
    )
    assert (captioned, remark) == (["0.png", "1.png", "2.png"], "")


def test_an_image_with_several_captions_is_taken_with_each_and_said(tmp_path):
    album(tmp_path, 2)
    table = [("0.png", LYNX), ("0.png", WREN), ("1.png", WREN)]
    rows = [json.dumps({"file_name": name, "text": text}) for name, text in table]
    (tmp_path / "metadata.jsonl").write_text("\n".join(rows))
    captioned, remark = remark_on(
        lambda: [caption for _, caption in real_images.captioned(tmp_path)]
    )
    assert captioned == [LYNX, WREN, WREN]
    assert "images named again with another caption, taken with each: 1 ('0.png')" in remark


def test_the_layout_of_the_hub_is_called_by_its_name(tmp_path):
    (tmp_path / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        UserError, match=r"but files \.parquet \(a data set of the library datasets"
    ):
        real_images.captioned(tmp_path)
