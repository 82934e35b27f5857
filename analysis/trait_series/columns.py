"""The columns of a table, identified by a header or by the order of paleoTS."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.trait_series.text import Text, is_missing, is_number
from empirical.errors import UserError

# In the order of paleoTS.
ROLES = ("n", "mean", "variance", "time")
AGES = ("age", "ages", "ma", "mya", "ka", "bp")
# Names of columns in lower case, the name in this package first.
NAMES = {
    "time": ("generation", "generations", "gen", "time", "times", "t", "tt", "year", *AGES),
    "mean": ("mean", "means", "mm", "average", "avg", "trait mean", "mean trait"),
    "variance": ("variance", "variances", "var", "vv", "s2", "trait variance"),
    "n": ("n", "nn", "count", "counts", "sample size", "samplesize", "size", "individuals"),
    "sd": ("sd", "std", "stdev", "std dev", "standard deviation"),
    "se": ("se", "sem", "stderr", "std err", "std error", "standard error"),
    "trait": ("feature", "trait"),
    "component": ("component",),
}
_UNITS = re.compile(r" (ma|mya|myr|ka|kyr|my|ky|yr|yrs|years|bp|generations|mm|cm|um)$")


@dataclass(frozen=True)
class Columns:
    """The index of each column by its role, and the name of the time column."""

    positions: dict[str, int]
    time_name: str

    def cell(self, row: Sequence[str], role: str) -> str:
        i = self.positions[role]
        return row[i] if i < len(row) else ""


def _normal(name: str) -> str:
    """Return a column's name in lower case, without units and marks between words."""
    name = re.sub(r"[(\[].*?[)\]]", " ", name.casefold())
    name = re.sub(r"[\s_.\-]+", " ", name).strip()
    return _UNITS.sub("", name)


def columns_of(text: Text, what: str) -> tuple[Columns, list[tuple[int, list[str]]]]:
    """Identify the columns by a header, a comment that is a header, or the order of paleoTS."""

    def is_data(row: Sequence[str]) -> bool:
        return all(is_number(f) or is_missing(f) for f in row) and any(map(is_number, row))

    def known(row: Sequence[str]) -> int:
        return sum(_normal(f) in names for f in row for names in NAMES.values())

    first = next((i for i, (_, row) in enumerate(text.rows) if is_data(row)), len(text.rows))
    # A title may precede the header; names of traits are not numbers either.
    above = text.rows[: max(first, 1)]
    best = max(range(len(above)), key=lambda i: known(above[i][1]))
    if not is_data(text.rows[0][1]) and (known(above[best][1]) or first == len(text.rows)):
        names, rows = above[best][1], text.rows[best + 1 :]
    else:
        names, rows = [], text.rows
        for comment in reversed(text.comments):
            words = re.split(r"[\s,;]+", comment.strip())
            if {"mean", "n"} <= _roles(words, what).keys():
                names = words
                break
    if not names and not is_data(text.rows[0][1]):
        refuse_line(text.rows[0], what)
    if not rows:
        raise UserError(f"the series {what} is empty: it has a header and no samples")
    if not names:
        wrong = [row for row in rows if len(row[1]) != 4]
        if wrong:
            refuse_line(wrong[0], what)
        return Columns(dict(zip(ROLES, range(4), strict=True)), ""), rows
    if _has_row_names(names, [row for _, row in rows], what):
        names = ["", *names]
    for number, row in rows:
        if len(row) > len(names):
            raise UserError(
                f"line {number} of {what} has {len(row)} fields, its header has {len(names)}"
            )
    places = _roles(names, what)
    for role in ROLES:
        if role not in places and not (role == "variance" and {"sd", "se"} & places.keys()):
            raise UserError(
                f"the series {what} has no column '{NAMES[role][0]}', it must have generation, "
                f"mean, variance, n; it has {', '.join(n for n in names if n)}"
            )
    return Columns(places, _normal(names[places["time"]])), rows


def _has_row_names(names: Sequence[str], rows: Sequence[Sequence[str]], what: str) -> bool:
    """Return whether the first column holds row names, which R leaves without a header.

    The extra field may also be the last, so n must be an integer only if the first is left out.
    """
    if any(len(row) != len(names) + 1 for row in rows):
        return False
    place = _roles(names, what).get("n")
    if place is None or all(not is_number(row[0]) for row in rows):
        return place is not None

    def is_count(column: int) -> bool:
        tokens = [row[column] for row in rows if not is_missing(row[column])]
        return all(re.fullmatch(r"\d+(\.0*)?", token) for token in tokens)

    return is_count(place + 1) and not is_count(place)


def refuse_line(row: tuple[int, list[str]], what: str) -> None:
    raise UserError(
        f"line {row[0]} of {what} is '{' '.join(row[1])}', it must be four numbers: n, mean, "
        f"variance, time; or a header with generation, mean, variance, n"
    )


def _roles(names: Sequence[str], what: str) -> dict[str, int]:
    """Return the index of each column; of synonyms, the first in `NAMES` wins."""
    places = {}
    for role, known in NAMES.items():
        claims = [i for i, name in enumerate(names) if _normal(name) in known]
        exact = [i for i in claims if _normal(names[i]) == known[0]]
        if len(claims) > 1 and len(exact) != 1:
            both = "' and '".join(names[i] for i in claims[:2])
            raise UserError(f"the series {what} has the columns '{both}', which mean the same")
        if claims:
            places[role] = (exact or claims)[0]
    return places
