"""Named results as text and as a page of documentation."""

import inspect
from collections.abc import Iterable

from qtm import results
from qtm.results._result import Check, number

_HEAD = """# Named results

Results of the field that this package reproduces with its theory: `qtm results` computes the
numbers, `qtm.results.reproduce(NAME)` returns them, and `qtm figures named_results` draws them. A
section is one file in `qtm/results/`; the command, the tests, the figure and this page find it by
listing the folder. *Expected* is a closed form of the source, or of a derivation that the text
names; where only sign and shape of a result are known, it is a range. *Error* is the standard error
(SE) of a simulated number, with fixed keys, or a bound on the numerical error. A number agrees
within four standard errors and the bound.

`qtm results --markdown docs/named-results.md` writes this page.
"""


def text(name: str) -> str:
    """Return title, source and numbers of a result as lines of text.

    Raises `UserError` for an unknown name, as `markdown` does.
    """
    rows = [["quantity", "expected", "computed", "error", "agrees"]]
    rows += [_row(check) for check in results.reproduce(name).checks]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{name}: {results.title(name)}", f"  {results.result(name).SOURCE}"]
    for first, *rest in rows:
        numbers = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join(["", first.ljust(widths[0]), *numbers]))
    return "\n".join(lines)


def markdown(names: Iterable[str]) -> str:
    """Return a page with a section for each result: statement, example, source and numbers."""
    return "\n".join([_HEAD, *map(_section, names)])


def _section(name: str) -> str:
    module = results.result(name)
    title, _, body = (inspect.getdoc(module) or "").partition("\n")
    rows = [_row(check) for check in results.reproduce(name).checks]
    table = ["| quantity | expected | computed | error | agrees |", "|---|---:|---:|---:|---|"]
    table += [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join(
        [f"## `{name}`", "", f"**{title}**", body, "", f"Source: {module.SOURCE}.", "", *table, ""]
    )


def _row(check: Check) -> list[str]:
    agrees = "yes" if check.holds else "no"
    return [
        check.quantity, check.expectation, number(check.computed), check.error, agrees,
    ]  # fmt: skip
