"""The project's documents as text: sentences with numbers, and tables between markers.

A table that a program writes stands between two comments, each on a separate line::

    <!-- begin: NAME -->
    | a | b |
    <!-- end: NAME -->

Text is compared with runs of white space as one blank, so that a document may be wrapped anew.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Documents that a program writes as a whole, and the test that compares their numbers with it.
WRITTEN = {"docs/named-results.md": "tests/test_results_command.py"}
# The other documents, whose numbers are verified; the log is their source.
VERIFIED = (
    "README.md",
    *(
        place
        for path in sorted((ROOT / "docs").glob("*.md"))
        if (place := f"docs/{path.name}") not in WRITTEN
    ),
)
LOG = "LOG.md"

_BLOCK = re.compile(
    r"<!-- begin: (?P<name>[\w-]+) -->\n(?P<table>.*?)<!-- end: (?P=name) -->", re.DOTALL
)
_MARKER = re.compile(r"<!-- (?:begin|end): [\w-]+ -->")
_NUMBER = re.compile(
    r"(?<![\w.,])[−+-]?\d+(?:[.,:]\d+)*(?!\w)"
    # In words only where they measure something.
    r"|\b(?:two|three|four|five|six|seven|eight|nine|ten|\w+ty) (?:to \w+ )?"
    r"(?:minutes?|hours?|seconds?|figures|times as)\b"
    r"|\b(?:a|two) (?:thirds?|quarters?|fifths?|sixths?)\b|\bhalf as long\b"
)
# Numbers that are names, settings or versions, not measurements.
_NAMES = (
    r"```.*?```",
    r"`[^`]*`",
    r"\$\$.*?\$\$",
    r"\$[^$]*\$",
    r"\]\([^)]*\)",
    r"CFG( scale)? [\d.]+(( to|,| and) [\d.]+)*",
    r"\b(at|from|to|below|above) (CFG|scale|scales) [\d.]+",
    r"\b[Gg]enerations? \d+((–| to | and )\d+)?( from \d+[–]\d+)?",
    r"\b(rate|rates) \d+",
    r"Stable Diffusion( XL)?\W* [\d.]+(, \d)?( and XL)?",
    r"x86-64",
    r"exit code is \d",
    r"Python( [\d.]+,?)+( or [\d.]+)?",
    r"arXiv \d+\.\d+|CC BY-SA 3\.0|Apache-2\.0|SPDX",
    r"90 %( intervals?)?(?=[^)]*interval|\)|\*|;| \|)|90 % intervals?",
    r"macOS \d+",
    r"\b(19|20)\d\d\b",
)


def read(place: str) -> str:
    """Return a document of the project by its path below the root."""
    return (ROOT / place).read_text()


def flat(text: str) -> str:
    """Return a text with every run of white space as one blank."""
    return " ".join(text.split())


def tables(text: str) -> dict[str, str]:
    """Return the tables between markers by name; raise ValueError for a marker without its pair
    and for two tables of one name."""
    blocks = list(_BLOCK.finditer(text))
    names = [block["name"] for block in blocks]
    if len(_MARKER.findall(text)) != 2 * len(blocks):
        raise ValueError("a marker of a table has no pair: <!-- begin: NAME --> <!-- end: NAME -->")
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two tables have the name '{twice[0]}'")
    return {block["name"]: block["table"] for block in blocks}


def with_tables(text: str, contents: Mapping[str, str]) -> str:
    """Return a document with the contents of its tables replaced, those that are named."""

    def replaced(block: re.Match[str]) -> str:
        name = block["name"]
        table = contents.get(name, block["table"])
        return f"<!-- begin: {name} -->\n{table}<!-- end: {name} -->"

    return _BLOCK.sub(replaced, text)


def numbers(place: str) -> Iterator[tuple[int, str]]:
    """Yield the position and the text of each number of a document, in its `prose`; numbers that
    are names, settings or versions, in code or in a written table are left out."""
    text = prose(place)
    names = [match.span() for name in _NAMES for match in re.finditer(name, text, re.DOTALL)]
    for match in _NUMBER.finditer(text):
        if not any(start <= match.start() < end for start, end in names):
            yield match.start(), match.group()


def prose(place: str) -> str:
    """Return a document as one line, without the tables that are written between markers."""
    return flat(_BLOCK.sub("", read(place)))


def spans(place: str, part: str) -> list[range]:
    """Return where a text stands in the `prose` of a document."""
    text, part = prose(place), flat(part)
    return [range(match.start(), match.end()) for match in re.finditer(re.escape(part), text)]
