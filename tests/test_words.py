"""Names and English of the project: words that say nothing, or that read translated, stay out."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("qtm", "empirical", "analysis", "figures")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

# Names that do not say which thing they hold.
NAMELESS = {
    "told", "said", "asked", "found", "whole", "wanted", "own", "there", "it", "of", "at", "one",
}  # fmt: skip
# Keys of recipes stay as they are.
KEYS = {"empirical/guidance/interval.py": {"of"}}
# Words of an everyday English for which the field, or its software, has a term.
INSTEAD = {
    r"[Ww]hoever": "name the subject",
    r"came to nothing|out of luck": "failed; by chance",
    r"g(o|oes|one|oing|ave|ive|ives|iven) on with (?!what)": "resume",
    r"checked and made up for": "re-checked and completed",
    r"as of before|than of before|of before\b": "name what came before",
    r"[Ee]very key of a recipe has a default; these are they": "The complete recipe",
    r"wins nearly all contests that are no ties": "wins nearly every comparison that is not a tie",
    r"mean what e_u": "are used literally in",
    r"of what is there already": "of finished runs or image folders",
    r"has left the world": "counts as diverged",
    r"the person at the keyboard": "the user",
    r"is said in one place": "is defined once",
    r"\bsettled\b": "settings, or effective",
    r"\b[Ll]umps\b": "Throttled",
    r"\bCrew\b|\bcrew\b|\bSeat\b": "Pool, slots",
    r"_obituary": "exit_message",
    r"\bLearnt\b|is_learnt": "Weights, is_saved",
    r"whatever_there_is": "skip_undefined",
    r"must_be_\w+": "require_... or verify",
    r"\bor_nan\b": "valid_where",
}


def words_of(path):
    """Comments, docstrings and names of a file, by line."""
    text = path.read_text()
    # Pieces of an f-string are tokens of their own from Python 3.12 on.
    pieces = getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING, tokenize.NAME, pieces):
            yield token.start[0], token.string


def names_of(path):
    """Names that a file gives: variables, parameters, functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef):
            yield node.lineno, node.name


def found_in(lines):
    return [
        f"{line}: {match.group()!r}, rather {better}"
        for line, text in lines
        for pattern, better in INSTEAD.items()
        for match in re.finditer(pattern, text)
    ]


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_names_name_the_thing(path):
    # A class method `of` makes an object of something, as in `Grid.of`.
    methods = {
        method.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, ast.FunctionDef)
    }
    allowed = KEYS.get(name(path), set())
    nameless = [
        (n, word) for n, word in names_of(path) if word in NAMELESS - allowed and n not in methods
    ]
    assert nameless == []


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_the_english_of_sources(path):
    assert found_in(words_of(path)) == []


@pytest.mark.parametrize("path", TEXTS, ids=name)
def test_the_english_of_texts(path):
    assert found_in(enumerate(path.read_text().splitlines(), 1)) == []


def test_what_is_banned_is_seen(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text('def f(told):\n    """Whoever asks."""\n    own = 1  # the settled one\n')
    assert {word for _, word in names_of(path)} & NAMELESS == {"told", "own"}
    assert len(found_in(words_of(path))) == 2
