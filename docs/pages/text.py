"""Plain text, such as that of docstrings, as Markdown."""

import inspect
import re
from collections.abc import Iterable, Sequence
from itertools import groupby

# Characters that Markdown, or an extension of this site, would read as markup.
_SPECIAL = re.compile(r"[\\*_\[\]<>#$|`]")
_CODE = re.compile(r"(``[^`]+``|`[^`]*`)")


def prose(text: str) -> str:
    """Return plain text as Markdown that shows it literally.

    Code between backticks stays code, and so do indented lines, with blank lines around them.
    Paragraphs with columns, as of equations, keep their lines.
    """
    blocks = re.split(r"\n\s*\n", text.strip("\n"))
    return "\n\n".join(_part(part) for block in blocks for part in _split(block))


def description(documented: object) -> str:
    """Return the docstring of an object as Markdown, "" if it has none."""
    return prose(inspect.getdoc(documented) or "")


def title(documented: object) -> str:
    """Return the first line of a docstring as Markdown, without its full stop."""
    return prose((inspect.getdoc(documented) or "").partition("\n")[0].rstrip("."))


def cell(text: str) -> str:
    """Return plain text as Markdown in one cell of a table."""
    return prose(" ".join(text.split()))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _split(block: str) -> list[str]:
    """Split a paragraph before and after its indented lines, except those of its items."""
    if re.match(r"\s*(?:[-*]|\d+\.) ", block):
        return [block]
    groups = groupby(block.splitlines(), key=lambda line: line.startswith("    "))
    return ["\n".join(lines) for _, lines in groups]


def _part(block: str) -> str:
    if block.startswith("    "):
        return block
    end = "<br>\n" if re.search(r"\S {3,}\S", block) else "\n"
    return end.join(map(_literal, block.splitlines()))


def _literal(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(
        part if index % 2 else _SPECIAL.sub(lambda match: f"&#{ord(match.group())};", part)
        for index, part in enumerate(parts)
    )
