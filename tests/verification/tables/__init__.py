"""Tables of the documents, written from kept runs, kept fits and code.

A table is a module here with ``table()``, which returns its lines in Markdown. It stands in any
document of the project between the comments ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``,
NAME being that of the module. It is found by listing this package.

`python -m tests.verification.tables` compares all documents, and with `--write` rewrites them.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Sequence

from tests.verification import documents

# Folders whose Markdown is not the project's.
_FOREIGN = {"node_modules", "runs"}


def every_table() -> dict[str, str]:
    """Return the lines of each table by name."""
    names = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    return {name: importlib.import_module(f"{__name__}.{name}").table() for name in names}


def documents_with_tables() -> Iterator[str]:
    """Yield every Markdown file of the project that has a table between markers, by its path."""
    for path in sorted(documents.ROOT.rglob("*.md")):
        parts = path.relative_to(documents.ROOT).parts
        if any(part.startswith(".") or part in _FOREIGN for part in parts):
            continue
        if documents.tables(path.read_text()):
            yield "/".join(parts)


def rewritten(place: str, contents: dict[str, str]) -> str:
    """Return a document with its tables written anew; raise ValueError for one that no module
    writes."""
    text = documents.read(place)
    for name in documents.tables(text):
        if name not in contents:
            raise ValueError(f"{place}: no module in tests/verification/tables writes '{name}'")
    return documents.with_tables(text, contents)


def differing(place: str, contents: dict[str, str]) -> list[str]:
    """Return the tables of a document, as NAME: LINE, that differ from what is written anew."""
    text = documents.read(place)
    new = documents.tables(rewritten(place, contents))
    lines = []
    for name, table in documents.tables(text).items():
        pairs = zip([*table.splitlines(), ""], [*new[name].splitlines(), ""], strict=False)
        changed = [line for line, other in pairs if line != other]
        if table != new[name]:
            lines.append(f"{name}: {changed[0] if changed else 'white space'}")
    return lines


def markdown(head: Sequence[str], align: str, rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, columns aligned by "l" and "r"."""
    rule = "|".join({"l": "---", "r": "---:"}[side] for side in align)
    lines = ["| " + " | ".join(head) + " |", f"|{rule}|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "".join(f"{line}\n" for line in lines)


def signed(value: float, digits: int = 2) -> str:
    """Return a number with its sign, a minus as the documents have it."""
    return f"{value:+.{digits}f}".replace("-", "−")


def plain(value: float, digits: int = 2) -> str:
    """Return a number with a sign only where it is negative."""
    return f"{value:.{digits}f}".replace("-", "−")
