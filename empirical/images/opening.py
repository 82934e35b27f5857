"""Open an image of any kind as 8 bits without transparency."""

import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, PngImagePlugin, UnidentifiedImageError

from empirical.errors import UserError
from empirical.images.contents import what_it_is
from empirical.images.notes import Notes
from empirical.out_of_memory import is_out_of_memory

EXTENSIONS = frozenset(
    {
        ".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
TRANSPARENT = "transparent pixels, put on white"
SEVERAL = "several frames or pages, of which the first is taken"
DAMAGED = "damaged metadata of a camera or scanner, the pixels are read all the same"

# Decoders in C raise RuntimeError, those that unpack bytes struct.error or zlib.error.
_BROKEN = (
    UnidentifiedImageError, OSError, SyntaxError, ValueError, TypeError, EOFError, LookupError,
    ArithmeticError, AttributeError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip
_DAMAGE = re.compile(r"corrupt|truncated|larger than file|malformed|metadata warning", re.I)
_WHITE = 255
# A workflow or a colour profile inside a PNG; Pillow allows 1 MB a piece and 64 MB in all.
_TEXT_CHUNK, _TEXT_IN_ALL = 1 << 26, 1 << 28
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


def read(source: Path | bytes, what: str, notes: Notes | None = None) -> Image.Image:
    """Open an image, turn it upright, and return it in 8 bits without transparency.

    `source` is a file or its content, `what` names it in errors and notes. The first of several
    frames or pages is taken. Raises `UserError` for a file that is broken, too large, or has values
    out of range; see `plain`.
    """
    try:
        with (
            _reading.under_way() as remarks,
            Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image,
        ):
            # A phone's MPO holds a preview or depths beside the one picture.
            if notes is not None and image.format != "MPO" and getattr(image, "is_animated", False):
                notes.add(SEVERAL, what)
            image.load()
            upright = ImageOps.exif_transpose(image)
            read = plain(upright, what, _full_scale(image), notes).copy()
            if notes is not None and any(_DAMAGE.search(str(remark.message)) for remark in remarks):
                notes.add(DAMAGED, what)
            return read
    except UserError:
        raise
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UserError(
            f"the image '{what}' is too large: at most {limit / 1e6:.0f} million pixels are read, "
            f"make it smaller"
        ) from None
    except _BROKEN as error:
        if is_out_of_memory(error):
            raise
        reason = what_it_is(source) if isinstance(error, UnidentifiedImageError) else None
        if reason is not None:
            raise UserError(f"the image '{what}' is not an image but {reason}") from error
        raise UserError(f"the image '{what}' is broken or not an image: {error}") from error


def is_image(path: Path) -> bool:
    """Return whether a file is an image that can be opened, whatever its extension."""
    try:
        with _reading.under_way(), Image.open(path):
            return True
    except (*_BROKEN, Image.DecompressionBombError):
        return False


def plain(
    image: Image.Image, what: str, white: int | None = None, notes: Notes | None = None
) -> Image.Image:
    """Return an image in 8 bits without transparency, in a mode that converts to L and RGB.

    Integers of 16 bits are scaled so that `white` (by default 65535) becomes 255, floats so that 1
    does. Transparent parts are put on white. Opaque images of 8 bits are unchanged. Raises
    `UserError` for integers that are negative or above 65535, and floats outside 0 to 1.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image, what, white, notes)
    if image.mode == "LAB":
        image = _from_lab(image)
    if not image.has_transparency_data:
        return image
    grey = image.mode in ("1", "L", "LA", "La")
    # Premultiplied colours convert to straight ones only.
    image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
    image = image.convert("LA" if grey else "RGBA")
    alpha = image.getchannel("A")
    opaque = image.convert("L" if grey else "RGB")
    if alpha.getextrema()[0] == _WHITE:
        return opaque
    if notes is not None:
        notes.add(TRANSPARENT, what)
    background = Image.new(opaque.mode, opaque.size, "white")
    background.paste(opaque, mask=alpha)
    return background


def is_grey(image: Image.Image) -> bool:
    """Return whether the mode of an image of `read` excludes colour; a palette may have colours."""
    return image.mode in ("1", "L")


def _full_scale(image: Image.Image) -> int | None:
    """Return the value of white in a file of more than 8 bits, negative where that value is black.

    None where the file does not define it.
    """
    if image.format in ("PNG", "PPM"):
        return 65535
    tags = getattr(image, "tag_v2", None)
    if tags is None:
        return None
    bits = tags.get(_BITS, (1,))[0]
    white = {12: 4095, 16: 65535 if image.mode.startswith("I;16") else 32767}.get(bits)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        # Pillow inverts such files of 8 bits itself, and no others.
        return -(white or 1)
    return white


def _scaled(image: Image.Image, what: str, white: int | None, notes: Notes | None) -> Image.Image:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    inverted = white is not None and white < 0
    if image.mode == "F":
        # A resampled image may overshoot a little; nan fails both comparisons.
        if not (low >= -0.01 and high <= 1.01):
            raise UserError(
                f"the image '{what}' has floats from {low:g} to {high:g}: allowed are 0 (black) to "
                f"1 (white), or save it with 8 or 16 bits"
            )
        levels = np.clip(values, 0, 1).astype(np.float64)
    else:
        if white is None:
            # 32 bits hold 8 or 16, and the file does not say which.
            white = 255 if high <= 255 else 65535
        if low < 0 or high > abs(white):
            raise UserError(
                f"the image '{what}' has values from {low:.0f} to {high:.0f}: allowed are 0 "
                f"(black) to {abs(white)} (white)"
            )
        levels = values / abs(white)
    levels = 1 - levels if inverted else levels
    pixels = np.round(_WHITE * levels).astype(np.uint8)
    clear = image.info.get("transparency")
    if isinstance(clear, int) and (values == clear).any():
        pixels[values == clear] = _WHITE
        if notes is not None:
            notes.add(TRANSPARENT, what)
    return Image.fromarray(pixels)


def _from_lab(image: Image.Image) -> Image.Image:
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    converted = ImageCms.profileToProfile(image, *profiles, outputMode="RGB")
    assert converted is not None
    return converted


class _Reading:
    """A scope in which threads read images: Pillow's limits on texts inside a PNG are raised, and
    its warnings, which name no file, are hidden from the user."""

    def __init__(self) -> None:
        self._lock, self._readers = threading.Lock(), 0
        self._before = _limits()
        self._catching = warnings.catch_warnings(record=True)
        self._caught: list[warnings.WarningMessage] = []

    @contextmanager
    def under_way(self) -> Iterator[list[warnings.WarningMessage]]:
        """Yield the list that Pillow's warnings are added to, from any thread."""
        with self._lock:
            if self._readers == 0:
                self._begin()
            self._readers += 1
        try:
            yield self._caught
        finally:
            with self._lock:
                self._readers -= 1
                if self._readers == 0:
                    self._end()

    def _begin(self) -> None:
        self._before = _limits()
        _set_limits(*map(max, zip(self._before, _LIMITS, strict=True)))
        self._catching = warnings.catch_warnings(record=True)
        caught = self._catching.__enter__()
        assert caught is not None
        self._caught = caught
        warnings.filterwarnings("always", module="PIL")

    def _end(self) -> None:
        _set_limits(*self._before)
        self._catching.__exit__(None, None, None)
        for other in self._caught:
            if not _is_of_pillow(other):
                warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)


def _is_of_pillow(warning: warnings.WarningMessage) -> bool:
    return Path(warning.filename).parent == Path(Image.__file__).parent


def _limits() -> tuple[int, int]:
    return PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY


def _set_limits(chunk: int, memory: int) -> None:
    PngImagePlugin.MAX_TEXT_CHUNK, PngImagePlugin.MAX_TEXT_MEMORY = chunk, memory


_LIMITS = (_TEXT_CHUNK, _TEXT_IN_ALL)
_reading = _Reading()
