"""Plain text, such as that of docstrings, as Markdown."""

import inspect
import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"[\\*_\[\]<>#$|~^]")
_CODE = re.compile(r"(``[^`]+``|`[^`]*`)")


def prose(text: str) -> str:
    """Return plain text as Markdown that shows it literally.

    Code between backticks stays code, and so do indented lines, with blank lines around them.
    """
    lines: list[str] = []
    for line in text.splitlines():
        indented = line.startswith("    ")
        before = lines[-1] if lines else ""
        if before.strip() and indented != before.startswith("    ") and not _is_item(before):
            lines.append("")
        lines.append(line if indented else _literal(line))
    return "\n".join(lines)


def description(documented: object) -> str:
    """Return the docstring of an object as Markdown, "" if it has none."""
    return prose(inspect.getdoc(documented) or "")


def title(documented: object) -> str:
    """Return the first line of a docstring as Markdown, without its full stop."""
    return prose((inspect.getdoc(documented) or "").partition("\n")[0].rstrip("."))


def cell(text: str) -> str:
    """Return plain text as Markdown in one cell of a table."""
    return prose(" ".join(text.split())).replace("\\|", "&#124;")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _literal(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(
        part if index % 2 else _SPECIAL.sub(lambda match: "\\" + match.group(), part)
        for index, part in enumerate(parts)
    )


def _is_item(line: str) -> bool:
    return re.match(r"\s*(?:[-*]|\d+\.) ", line) is not None
