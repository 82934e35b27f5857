"""Identify a file that Pillow cannot open by its first bytes."""

from pathlib import Path

_HEAD = 512
# Kinds of ISO media files: HEIC and HEIF of phones, AVIF that this Pillow may lack, films.
_BRANDS = {
    b"avif": "an AVIF image, which needs Pillow 11.3 or later",
    b"heic": "a HEIC image: save it as JPEG or PNG",
    b"heif": "a HEIF image: save it as JPEG or PNG",
}
_BRAND_OF = {
    b"avis": b"avif", b"heix": b"heic", b"heim": b"heic", b"heis": b"heic", b"hevc": b"heic",
    b"hevx": b"heic", b"mif1": b"heif", b"msf1": b"heif",
}  # fmt: skip
_STARTS = (
    (b"%pdf", "a PDF"),
    (b"version https://git-lfs", "a pointer of Git LFS: get the image itself with git lfs pull"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
    (b"<svg", "an SVG drawing: save it as PNG"),
    (b"8bps", "a Photoshop document: save it as PNG"),
    (b"pk\3\4", "a ZIP archive"),
    (b"\0\5\x16\7", "a Mac's resource fork of a file, not the file"),
)


def what_it_is(source: Path | bytes) -> str | None:
    """Return a description of a file or its content by its first bytes, None where unknown."""
    try:
        head = source[:_HEAD] if isinstance(source, bytes) else _head(source)
    except OSError:
        return None
    if not head:
        return "an empty file"
    if not head.strip(b"\0"):
        return "a file of zeros: its copy or download is incomplete"
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return _BRANDS.get(_BRAND_OF.get(brand, brand), "a film")
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(b"<?xml") and b"<svg" in text:
        return "an SVG drawing: save it as PNG"
    return next((kind for start, kind in _STARTS if text.startswith(start)), None)


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD)
