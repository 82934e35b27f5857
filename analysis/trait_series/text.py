"""The text of tables from spreadsheets, R and people: characters, fields, numbers."""

import csv
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from empirical.errors import UserError

MISSING = {
    "", "na", "n/a", "nan", "null", "none", "nd", "n.d.", "missing", ".", "-", "--", "\u2013",
    "\u2014", "?", "#n/a", "#na", "#div/0!", "#value!", "#num!", "#ref!", "#null!", "#name?",
}  # fmt: skip
_SHEETS = {
    b"PK\x03\x04": "an Excel or LibreOffice workbook, or another archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"\x1f\x8b": "a compressed file",
    b"PAR1": "a Parquet file",
}
_SPACES = "\u00a0\u2007\u2009\u202f"
_BETWEEN = re.compile(rf"(?<=\d)[{_SPACES}'\u2019 ](?=\d{{3}}(?!\d))")
_REMARK = re.compile(r"\s#(?!(n/?a|(div/0|value|num|ref|null)!|name\?)).*", re.IGNORECASE)
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SHAPE = re.compile(r"[+-]?[\d.,]*\d[\d.,]*([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Text:
    """Fields of a text by line number, the delimiter (" " for any whitespace), and comments."""

    rows: list[tuple[int, list[str]]]
    delimiter: str
    comments: list[str]


def read_text(path: Path) -> Text:
    """Read a file of lines and split it into fields; raise `UserError` if it is not text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"the series '{path}' cannot be read: {error.strerror or error}") from None
    for magic, kind in _SHEETS.items():
        if content.startswith(magic):
            raise UserError(
                f"the series '{path}' cannot be read as text: it is {kind}, save the table as CSV"
            )
    text = decode(content)
    if "\0" in text:
        raise UserError(f"the series '{path}' cannot be read as text: it is a binary file")
    return split(text, f"'{path}'")


def decode(content: bytes) -> str:
    """Decode UTF-8 and UTF-16, with or without a byte order mark, or what Windows calls ANSI."""
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return content.decode("utf-32", errors="replace")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    head = content[:1000]
    # A table is mostly ASCII, so every second byte of UTF-16 is 0.
    for order, odd in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(odd) > 3 and odd.count(0) > 0.8 * len(odd):
            return content.decode(order, errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def split(text: str, what: str) -> Text:
    """Split text into fields, without lines that are empty or hold only delimiters."""
    lines, comments, declared = [], [], None
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        bare = line.strip(" \t\ufeff\x1a")
        # Excel's declaration of the delimiter.
        if not lines and (match := re.fullmatch(r"\"?sep=(.)\"?[;,\t]*", bare, re.IGNORECASE)):
            declared = match[1]
        elif bare.lstrip("\"'").startswith("#") and not _is_error_value(bare):
            comments.append(bare.lstrip("\"'# \t").rstrip("\"'"))
        elif bare.strip(",;|\"' \t"):
            lines.append((number, _REMARK.sub("", line.strip(" \ufeff\x1a"))))
    delimiter = declared or _delimiter([line for _, line in lines])
    try:
        rows = [(number, fields(line, delimiter)) for number, line in lines]
    except csv.Error as error:
        raise UserError(f"the series {what} cannot be read as a table: {error}") from None
    return Text(rows, delimiter, comments)


def fields(line: str, delimiter: str) -> list[str]:
    """Split one line, keeping quoted fields together and dropping empty fields at its end."""
    if delimiter == " ":
        tokens = re.findall(r"\"[^\"]*\"|'[^']*'(?=\s|$)|\S+", line)
    else:
        tokens = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    tokens = [field.strip().strip("\"'").strip() for field in tokens]
    while tokens and not tokens[-1]:
        tokens.pop()
    return tokens


def _is_error_value(line: str) -> bool:
    return any(line.lstrip("\"'").casefold().startswith(m) for m in MISSING if m.startswith("#"))


def _delimiter(lines: Sequence[str]) -> str:
    """Return the mark that occurs in most lines outside quotes, or a blank."""
    bare = [re.sub(r"\"[^\"]*\"", "", line) for line in lines]

    def is_common(mark: str) -> bool:
        return 2 * sum(mark in line for line in bare) > len(bare)

    for mark in ("\t", ";", "|"):
        if is_common(mark):
            return mark
    # Between blanks a comma is a decimal mark: "25 10,4 1,0 0".
    blanks = [any(re.search(r"\d\s+[\d+-]", f) for f in line.split(",")) for line in bare]
    return "," if is_common(",") and 2 * sum(blanks) <= len(bare) else " "


def is_missing(token: str) -> bool:
    """Return whether a field marks a missing value."""
    return token.casefold() in MISSING


def is_number(token: str) -> bool:
    """Return whether a field looks like a number in any notation."""
    return bool(_SHAPE.fullmatch(_tidy(token)))


def _tidy(token: str) -> str:
    """Drop the blanks and apostrophes that group thousands; write minus as a hyphen."""
    return _BETWEEN.sub("", token.strip()).replace("\u2212", "-")


@dataclass(frozen=True)
class Notation:
    """The notation of numbers in a table: its decimal mark; the other mark groups thousands."""

    decimal: str = "."

    def number(self, token: str) -> float | None:
        """Return the number that a field holds, or None where it holds none."""
        token = _tidy(token)
        group = "," if self.decimal == "." else "."
        if group in token:
            integer, mark, rest = token.partition(self.decimal)
            if not re.fullmatch(rf"[+-]?\d{{1,3}}(\{group}\d{{3}})+", integer):
                return None
            token = integer.replace(group, "") + mark + rest
        token = token.replace(self.decimal, ".")
        return float(token) if _PLAIN.fullmatch(token) else None


def notation(tokens: Iterable[str], delimiter: str, what: str) -> Notation:
    """Return the notation of a table: decimal commas or decimal points.

    Raises `UserError` where all numbers with a comma are ambiguous, as 1,234 is.
    """
    numbers = [token for token in map(_tidy, tokens) if _SHAPE.fullmatch(token)]
    marked = [token for token in numbers if "," in token]
    if not marked:
        return Notation()
    for token in marked:
        if "." in token:
            return Notation("," if token.rindex(",") > token.rindex(".") else ".")
        if token.count(",") == 1 and not re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", token):
            return Notation(",")
    if delimiter == "," or any("." in t or t.count(",") > 1 for t in numbers):
        return Notation()
    if delimiter == ";":
        return Notation(",")
    raise UserError(
        f"the series {what} has the number {marked[0]}, which may be a decimal fraction or "
        f"thousands: use decimal points and no commas"
    )
