"""Read tables of trait series, recognising their format."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from analysis.trait_series.columns import AGES, NAMES, ROLES, Columns, columns_of, refuse_line
from analysis.trait_series.series import TraitSeries, series
from analysis.trait_series.text import is_missing, notation, read_text
from empirical.errors import UserError

TIMES = ("auto", "rising", "falling")


def read_csv(
    path: Path,
    *,
    time: str = "auto",
    pool: bool = True,
    trait: str | None = None,
    component: int | None = None,
) -> TraitSeries:
    """Read a trait series from a text table in any common format.

    Delimiters (comma, semicolon, tab, blanks), decimal marks and the encoding are recognised. The
    header names the columns, in any case and order: generation (or time, t, tt, age), mean (mm),
    variance (var, vv; else sd or se) and n (nn, count). Without a header the columns are those of
    paleoTS: n, mean, variance, time. Lines that start with # are comments.

    `time` says whether times rise or fall: "falling" times are ages, and the series begins with the
    oldest; rows may then be in any order. "auto" assumes ages where the column is called age (or
    similar), or where every time is less than the one before. A table of several traits, such as
    the moments.csv of a run, needs `trait` and `component`.

    Rows without a number or with n = 0 are left out, with a warning. Raises `UserError` for
    anything that is not such a table, and as `series` does.
    """
    path = Path(path)
    if time not in TIMES:
        raise UserError(f"the order of time is '{time}', it must be {', '.join(TIMES)}")
    text, what = read_text(path), f"'{path}'"
    if not text.rows:
        raise UserError(f"the series {what} is empty")
    columns, rows = columns_of(text, what)
    rows = _chosen(columns, rows, {"trait": trait, "component": component}, what)
    lines, numbers, left_out = _numbers(columns, rows, text.delimiter, what)
    t, order_said = _in_order(numbers, lines, columns.time_name, time, what)
    order = np.argsort(t, kind="stable")
    s = series(
        t[order],
        *(numbers[role][order] for role in ("mean", "variance", "n")),
        what=what,
        pool=pool,
        lines=[lines[i] for i in order],
    )
    for sentence in (left_out, order_said):
        if sentence:
            warnings.warn(sentence, stacklevel=2)
    return s


def read_paleots(path: Path, *, time: str = "auto", pool: bool = True) -> TraitSeries:
    """Read the text format of paleoTS: lines of n, mean, variance, time, with or without a header.

    See `read_csv`, which reads it too.
    """
    return read_csv(path, time=time, pool=pool)


def _chosen(
    columns: Columns,
    rows: list[tuple[int, list[str]]],
    choice: dict[str, str | int | None],
    what: str,
) -> list[tuple[int, list[str]]]:
    """Keep the rows of one trait and component."""
    for role, value in choice.items():
        if role not in columns.positions:
            if value is not None:
                raise UserError(
                    f"the series {what} has no column '{NAMES[role][0]}', so {role} {value} "
                    f"cannot be chosen"
                )
            continue
        available = list(dict.fromkeys(columns.cell(row, role) for _, row in rows))
        if value is None and len(available) > 1:
            raise UserError(
                f"the series {what} has more than one {role}, choose one (--{role}): "
                f"{_some(available)}"
            )
        if value is not None and str(value) not in available:
            raise UserError(
                f"the series {what} has no {role} '{value}', there are {_some(available)}"
            )
        chosen = available[0] if value is None else str(value)
        rows = [row for row in rows if columns.cell(row[1], role) == chosen]
    return rows


def _numbers(
    columns: Columns, rows: list[tuple[int, list[str]]], delimiter: str, what: str
) -> tuple[list[int], dict[str, np.ndarray], str]:
    """Read the numbers of complete rows, and name the rows left out."""
    spread = next(role for role in ("variance", "sd", "se") if role in columns.positions)
    roles = ("n", "mean", "time", spread)
    style = notation((columns.cell(row, r) for _, row in rows for r in roles), delimiter, what)
    kept, missing, empty, values = [], [], [], []
    for number, row in rows:
        parsed: dict[str, float] = {}
        for role in roles:
            token = columns.cell(row, role)
            value = float("nan") if is_missing(token) else style.number(token)
            if value is None and not columns.time_name:
                refuse_line((number, row), what)
            if value is None:
                raise UserError(
                    f"line {number} of {what} has the {role} '{token}', it must be a number"
                )
            parsed[role] = value
        n, V = parsed["n"], parsed.pop(spread)
        parsed["variance"] = {"variance": V, "sd": V * V, "se": n * V * V}[spread]
        if V < 0:
            raise UserError(f"line {number} of {what} has {spread} {V:g}, it must be at least 0")
        if n == 0:
            empty.append(number)
        elif any(v != v for k, v in parsed.items() if k != "variance" or n != 1):
            missing.append(number)
        else:
            kept.append(number)
            values.append([parsed[role] for role in ROLES])
    reasons = [
        f"{_lines(which)} {verb}"
        for which, verb in ((missing, "without a number"), (empty, "with n = 0"))
        if which
    ]
    left = len(missing) + len(empty)
    if not kept:
        raise UserError(f"the series {what} has no sample with time, mean, variance and n")
    sentence = (
        f"{left} of {len(rows)} rows of {what} {'is' if left == 1 else 'are'} left out: "
        f"{', '.join(reasons)}"
    )
    table: dict[str, np.ndarray] = dict(zip(ROLES, np.transpose(values), strict=True))
    return kept, table, sentence if left else ""


def _in_order(
    numbers: dict[str, np.ndarray], lines: list[int], name: str, time: str, what: str
) -> tuple[np.ndarray, str]:
    """Return times in increasing order of generations, and a message about them.

    Ages become times since the oldest.
    """
    t = numbers["time"]
    falls = len(t) > 1 and bool(np.all(np.diff(t) < 0))
    called_ages = name in AGES
    if time == "auto" and not falls and not called_ages:
        back = np.flatnonzero(np.diff(t) <= 0)
        if len(back):
            _refuse_order(t, lines, int(back[0]), name, what)
    if time == "rising" or not (time == "falling" or called_ages or falls):
        return t, ""
    since = t.max() - t
    if time == "falling" or not name or (called_ages and falls):
        return since, ""
    reason = f"are ages ('{name}')" if called_ages else "fall, so they are ages"
    return since, (
        f"the times of the series {what} {reason}, and it begins with the oldest, {t.max():g}; "
        f"if they are not ages, use --time rising"
    )


def _refuse_order(t: np.ndarray, lines: list[int], i: int, name: str, what: str) -> None:
    hint = (
        "give the order of time (--time rising, or falling for ages)"
        if len(set(t)) == len(t)
        else "each sample must have a different time"
    )
    order = "" if name else "; without a header the columns are n, mean, variance, time"
    raise UserError(
        f"the times of the series {what} do not increase: {t[i]:g} in line {lines[i]}, then "
        f"{t[i + 1]:g}: {hint}{order}"
    )


def _lines(numbers: Sequence[int], most: int = 8) -> str:
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    return f"lines {_some([str(number) for number in numbers], most)}"


def _some(names: Sequence[str], most: int = 12) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
