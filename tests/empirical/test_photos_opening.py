"""Images of every depth and kind become 8 bits without transparency, or are refused in words."""

import threading
import warnings

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from empirical import files
from empirical.data import real_images
from empirical.errors import UserError
from empirical.images import opening
from empirical.images.notes import Notes
from empirical.measuring import image_folder
from empirical.recipe import DataTable

SIDE = 24
RAMP = np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)
EIGHT = np.round(255 * RAMP)
SIXTEEN = np.round(65535 * RAMP).astype(np.uint16)


def read(path, **how):
    return opening.read(path, str(path), **how)


def both_ways(folder):
    """The images of a folder as measured, and as a chain learns them."""
    count = len(list(folder.glob("*.t*"))) + len(list(folder.glob("*.p*")))
    for path in folder.iterdir():
        path.with_suffix(".caption").write_text("a ramp")
    table = DataTable(name=str(folder), size=count)
    return image_folder.read(folder)[0], real_images.real(table, SIDE, "L", 0).images


DEEP = {
    "I;16.png": SIXTEEN,
    "I;16.tif": SIXTEEN,
    "I;16B.tif": SIXTEEN.astype(">u2"),
    "I.tif": SIXTEEN.astype(np.int32),
    "eight bits in I.tif": EIGHT.astype(np.int32),
    "I.pgm": None,
    "F.tif": RAMP.astype(np.float32),
}


def write_deep(path, pixels):
    if path.suffix == ".pgm":
        header = f"P5 {SIDE} {SIDE} 65535\n".encode()
        path.write_bytes(header + SIXTEEN.astype(">u2").tobytes())
    else:
        Image.fromarray(pixels).save(path)


@pytest.mark.parametrize("kind", DEEP)
def test_deep_images_keep_their_greys(kind, tmp_path):
    path = tmp_path / kind
    write_deep(path, DEEP[kind])
    np.testing.assert_allclose(np.asarray(read(path), float), EIGHT, atol=0.51)


def test_deep_images_are_the_same_measured_and_learnt(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    Image.fromarray(SIXTEEN).save(folder / "a.png")
    Image.fromarray(RAMP.astype(np.float32)).save(folder / "b.tif")
    for images in both_ways(folder):
        assert images.shape == (2, SIDE, SIDE, 1)
        assert np.abs(images[..., 0] - EIGHT).max() <= 1


def test_a_dark_image_of_16_bits_stays_dark(tmp_path):
    Image.fromarray(np.full((4, 4), 200, np.uint16)).save(tmp_path / "dark.png")
    assert np.asarray(read(tmp_path / "dark.png")).max() == 1


def test_white_is_zero_in_some_scans(tmp_path):
    path = tmp_path / "negative.tif"
    Image.fromarray(65535 - SIXTEEN).save(path, tiffinfo={262: 0})
    np.testing.assert_allclose(np.asarray(read(path), float), EIGHT, atol=0.51)


@pytest.mark.parametrize(
    ("pixels", "sentence"),
    [
        (RAMP.astype(np.float32) * 255, "floats from 0 to 255: allowed are 0"),
        (RAMP.astype(np.float32) - 0.5, "floats from -0.5 to 0.5"),
        (np.full((4, 4), np.nan, np.float32), "floats from nan"),
        (np.full((4, 4), 70_000, np.int32), "values from 70000 to 70000: allowed are 0"),
        (np.full((4, 4), -1, np.int32), "values from -1"),
    ],
)
def test_values_whose_white_is_unknown_are_refused(pixels, sentence, tmp_path):
    Image.fromarray(pixels).save(tmp_path / "odd.tif")
    with pytest.raises(UserError, match=rf"odd\.tif' has {sentence}"):
        read(tmp_path / "odd.tif")


def colours(mode="RGB"):
    pixels = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
@pytest.mark.parametrize("expected", ["L", "RGB"])
def test_opaque_images_of_8_bits_stay_as_they_were(mode, expected, tmp_path):
    path = tmp_path / ("x.tif" if mode in ("CMYK", "YCbCr") else "x.png")
    colours(mode).save(path)
    with Image.open(path) as image:
        before = np.asarray(image.convert(expected))
    np.testing.assert_array_equal(np.asarray(read(path).convert(expected)), before)
    assert opening.is_grey(read(path)) == (mode in ("1", "L"))


def test_an_alpha_channel_that_hides_nothing_changes_nothing(tmp_path):
    for mode, plain in (("RGBA", "RGB"), ("LA", "L")):
        colours(plain).convert(mode).save(tmp_path / "x.png")
        notes = Notes("here")
        assert read(tmp_path / "x.png", notes=notes).tobytes() == colours(plain).tobytes()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            notes.warn()


def transparent(kind):
    """An image of black pixels, the left half of which cannot be seen."""
    alpha = np.full((8, 8), 255, np.uint8)
    alpha[:, :4] = 0
    if kind in ("LA", "RGBA"):
        image = Image.new(kind, (8, 8), (0,) * (len(kind)))
        image.putalpha(Image.fromarray(alpha))
        return image, {}
    if kind == "P":
        image = Image.fromarray((alpha // 255).astype(np.uint8)).convert("P")
        image.putpalette([0, 0, 0] * 2)
        return image, {"transparency": b"\0\xff"}
    # A grey that stands for nothing, in 8 and 16 bits.
    deep = np.uint16 if kind == "I;16" else np.uint8
    return Image.fromarray(np.where(alpha == 0, 7, 0).astype(deep)), {"transparency": 7}


@pytest.mark.parametrize("kind", ["LA", "RGBA", "P", "L", "I;16"])
def test_transparent_pixels_become_white_and_that_is_said(kind, tmp_path):
    image, options = transparent(kind)
    image.save(tmp_path / "x.png", **options)
    notes = Notes("photos")
    pixels = np.asarray(read(tmp_path / "x.png", notes=notes).convert("RGB"))
    assert (pixels[:, :4] == 255).all()
    assert (pixels[:, 4:] == 0).all()
    with pytest.warns(UserWarning, match=r"'photos': transparent pixels, put on white: 1 \("):
        notes.warn()


def test_half_transparent_is_half_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 128)).save(tmp_path / "x.png")
    assert np.asarray(read(tmp_path / "x.png")) == pytest.approx(127, abs=1)


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tif"])
def test_the_first_frame_is_taken_and_that_is_said(ending, tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    path = tmp_path / f"x.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **LOSSLESS.get(ending, {}))
    notes = Notes("photos")
    pixels = np.asarray(read(path, notes=notes).convert("RGB"))
    assert (pixels == (255, 0, 0)).all()
    with pytest.warns(UserWarning, match="of which the first is taken: 1"):
        notes.warn()


LOSSLESS = {"webp": {"lossless": True}}


@pytest.mark.parametrize("ending", sorted(opening.EXTENSIONS))
def test_every_format_that_is_listed_is_read(ending, tmp_path):
    kinds = {".jfif": "JPEG", ".jpe": "JPEG"}
    colours().resize((8, 8)).save(tmp_path / f"a{ending.upper()}", kinds.get(ending))
    (tmp_path / "a.txt").write_text("noise")
    images, captions = image_folder.read(tmp_path)
    assert images.shape == (1, 8, 8, 3)
    assert captions == ("noise",)


def test_an_image_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(SIXTEEN).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_allclose(
        np.asarray(read(tmp_path / "x.png"), float), np.rot90(EIGHT, -1), atol=1
    )


def heavy(path):
    """A PNG with texts and a colour profile of several MB."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("workflow", "node " * 600_000, zip=True)
    texts.add_itxt("prompt", "é" * 2_000_000, zip=True)
    colours().save(path, pnginfo=texts, icc_profile=bytes(3 << 20))


def test_long_texts_in_a_png_are_read_and_limits_put_back(tmp_path):
    heavy(tmp_path / "x.png")
    limits = PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY
    assert read(tmp_path / "x.png").tobytes() == colours().tobytes()
    failed = []

    def often():
        for _ in range(5):
            try:
                read(tmp_path / "x.png")
            except UserError as error:
                failed.append(error)

    threads = [threading.Thread(target=often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert limits == (PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY)


def test_limits_are_put_back_after_a_broken_image(tmp_path):
    limit = PngImagePlugin.MAX_TEXT_CHUNK
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(UserError, match="is broken or not an image"):
        read(tmp_path / "x.png")
    assert limit == PngImagePlugin.MAX_TEXT_CHUNK


def test_an_image_that_would_fill_memory_is_refused(tmp_path, monkeypatch):
    colours().save(tmp_path / "x.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UserError, match=r"x\.png' is too large"):
        read(tmp_path / "x.png")


@pytest.mark.parametrize("mode", ["1", "P", "LA", "RGBA"])
def test_images_of_a_run_that_were_made_smaller_are_read(mode, tmp_path):
    """Programs that shrink PNGs change how pixels are stored, not their values."""
    grey = np.where(RAMP > 0.5, 255, 0).astype(np.uint8)
    pixels = grey[..., None] if mode != "RGBA" else np.stack([grey, grey * 0, 255 - grey], -1)
    files.write_image(tmp_path / "x.png", pixels)
    with Image.open(tmp_path / "x.png") as image:
        image.convert(mode).save(tmp_path / "y.png")
    np.testing.assert_array_equal(files.read_image(tmp_path / "y.png"), pixels)
