"""Tables of captions: ``metadata.jsonl``, ``metadata.csv`` and ``metadata.parquet``."""

import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from empirical import files
from empirical.data.photos.captions import CaptionError, clean
from empirical.data.photos.listing import Listing
from empirical.errors import UserError
from empirical.images.notes import Notes

NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
COLUMNS = ("text", "caption", "prompt")
_FILE = "file_name"
_DELIMITERS = ",;\t"

_Rows = list[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Table:
    """The rows of a table: each one's place, the file that it names, and its caption if any."""

    path: Path
    rows: tuple[tuple[str, str, str | None], ...]


def find(listing: Listing) -> list[list[Path]]:
    """Return the tables of a folder, grouped by place, each group in order of precedence.

    A table in the folder itself is the only one; else each subfolder may have a table, like the
    splits of the library datasets, and tables below a folder with a table are not used.
    """
    places: dict[Path, list[Path]] = {}
    for path in listing.others:
        if path.name.lower() in NAMES:
            places.setdefault(path.parent, []).append(path)
    return [
        sorted(tables, key=lambda path: (NAMES.index(path.name.lower()), path.name))
        for place, tables in sorted(places.items())
        if not any(above in places for above in place.parents)
    ]


def read(path: Path, column: str | None, notes: Notes) -> Table:
    """Read a table with its captions from `column`, or from text, caption or prompt.

    Raises `CaptionError` for a table that is damaged, lacks the column, or holds anything but text
    there.
    """
    readers = {".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}
    try:
        names, rows = readers[path.suffix.lower()](path)
    except OSError as error:
        raise CaptionError(f"'{path}' cannot be read: {error.strerror or error}") from error
    except CaptionError:
        raise
    except UserError as error:
        raise CaptionError(str(error)) from error
    file_key = _named(names, _FILE)
    if file_key is None:
        raise CaptionError(
            f"'{path}' has no column '{_FILE}', which names the images: {_has(names)}"
        )
    key = caption_column(names, column, f"'{path}'")
    if column is None:
        _note_other_columns(path, rows, names, key, notes)
    entries = []
    for where, row in rows:
        name, text = row.get(file_key), row.get(key)
        # pandas writes a missing value as nan.
        text = None if isinstance(text, float) and math.isnan(text) else text
        if not isinstance(name, str) or not (text is None or isinstance(text, str)):
            raise CaptionError(f"{where} of '{path}': '{file_key}' and '{key}' must be strings")
        place = f"{where} of '{path}'"
        entries.append((where, name, None if text is None else clean(text, place)))
    return Table(path, tuple(entries))


def caption_column(names: Sequence[str], column: str | None, what: str) -> str:
    """Return the column of captions: the given one, or the first that exists of text, caption and
    prompt. Raises `CaptionError` where there is none."""
    if column is not None:
        if column not in names:
            raise CaptionError(
                f"'data.caption_column' is '{column}', but {what} has no such column: {_has(names)}"
            )
        return column
    matches = [name for name in (_named(names, known) for known in COLUMNS) if name is not None]
    if not matches:
        raise CaptionError(
            f"{what} has no captions in a column 'text', 'caption' or 'prompt': {_has(names)} "
            f"('data.caption_column' names another)"
        )
    return matches[0]


def _note_other_columns(
    path: Path, rows: _Rows, names: Sequence[str], key: str, notes: Notes
) -> None:
    for other in (_named(names, known) for known in COLUMNS):
        if other not in (None, key) and any(row.get(other) != row.get(key) for _, row in rows):
            notes.add(
                f"captions are those of the column '{key}' of '{path.name}', unless "
                f"'data.caption_column' names another that differs",
                str(other),
            )


def _named(names: Sequence[str], column: str) -> str | None:
    """Return the column of a name: an exact match, else one up to case and surrounding spaces."""
    near = [name for name in names if name.strip().casefold() == column]
    return column if column in names else near[0] if near else None


def _has(names: Sequence[str]) -> str:
    return f"it has {', '.join(repr(name) for name in names) or 'none at all'}"


def _json_lines(path: Path) -> tuple[list[str], _Rows]:
    rows: _Rows = []
    names: dict[str, None] = {}
    for number, line in enumerate(files.lines(files.read_text(path)), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or _named(list(row), _FILE) is None:
            raise CaptionError(
                f"line {number} of '{path}' must be a JSON object with 'file_name' and 'text'"
            )
        names.update(dict.fromkeys(row))
        rows.append((f"line {number}", row))
    return list(names), rows


def _csv(path: Path) -> tuple[list[str], _Rows]:
    # Excel may name the delimiter in a line before the header.
    text = re.sub(r'\A"?sep=."?\r?\n', "", files.read_text(path))
    # Spreadsheets write semicolons where the comma is the decimal sign.
    delimiter = next((d for d in _DELIMITERS if _FILE in _header(text, d)), ",")
    rows: _Rows = []
    try:
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
        )
        names = next(reader, [])
        for fields in _filled(reader):
            if len(fields) != len(names):
                raise CaptionError(
                    f"line {reader.line_num} of '{path}' has {len(fields)} fields under a header "
                    f"of {len(names)}: put captions with '{delimiter}' in double quotes"
                )
            # An empty field is the null of other formats.
            row = {n: f if f.strip() else None for n, f in zip(names, fields, strict=True)}
            rows.append((f"line {reader.line_num}", row))
    except csv.Error as error:
        raise CaptionError(f"'{path}' is not a table of comma-separated values: {error}") from error
    return names, rows


def _filled(reader: Iterator[list[str]]) -> Iterator[list[str]]:
    # Spreadsheets also write the empty rows below a table.
    return (fields for fields in reader if any(field.strip() for field in fields))


def _header(text: str, delimiter: str) -> list[str]:
    first = text.partition("\n")[0].split(delimiter)
    return [name.strip().strip('"').strip().casefold() for name in first]


def _parquet(path: Path) -> tuple[list[str], _Rows]:
    try:
        from pyarrow import ArrowException, parquet
    except ModuleNotFoundError:
        raise UserError(
            f"'pyarrow' is not installed, which '{path}' needs: "
            f"pip install 'diffusion-qtm[data]', or write the table as metadata.csv"
        ) from None
    try:
        table = parquet.ParquetFile(path).read()
    except (ArrowException, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CaptionError(f"'{path}' is damaged or not a parquet file: {reason}") from error
    names = [str(name) for name in table.column_names]
    return names, [(f"row {i}", row) for i, row in enumerate(table.to_pylist(), start=1)]
