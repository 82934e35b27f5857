"""Names and English of the project: words that say nothing, or that read translated, stay out."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("qtm", "empirical", "analysis", "figures")
SOURCES = sorted(path for package in (*PACKAGES, "docs") for path in (ROOT / package).rglob("*.py"))
TEXTS = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "Makefile",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / ".github").rglob("*.md")),
]

# Names that do not say which thing they hold.
NAMELESS = {
    "told", "said", "asked", "found", "whole", "wanted", "own", "there", "it", "of", "at", "one",
}  # fmt: skip
# Names for which the field, or its software, has a better one.
RENAMED = {
    "forget": "unload",
    "learnt": "trained, weights",
    "share": "fraction",
    "shares": "fractions",
    "Probe": "Benchmark: a probe is an image",
}
# Keys of recipes stay as they are.
KEYS = {"empirical/guidance/interval.py": {"of"}}
# A class method `of` makes an object of something, as in `Grid.of`, and `at` evaluates one.
METHODS = {"of", "at"}
# Words of an everyday English for which the field, or its software, has a term.
INSTEAD = {
    r"[Ww]hoever": "name the subject",
    r"came to nothing|out of luck": "failed; by chance",
    r"\b(g(o|oes|one|oing)|went) on\b": "resume, continue",
    r"[Gg]ives? the same command": "run the same command again",
    r"\bsaid (of|by)\b|\bsays? of\b|\bspeaks? of\b": "predict, describe",
    r"\btold apart\b": "distinguish",
    r"\bstands? beside\b": "name the relation",
    r"\banyone('s)?\b": "any source, a user's",
    r"\bmend(s|ed|ing)?\b": "correct",
    r"\bRead across\b|the hard way": "leave it out",
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
    r"(prior|process)_deviations?\b": "std, standard deviation",
    r"[Ss]hort probes?\b": "benchmark",
}
# Sentences without a subject that names a thing, and phrases that read translated.
SENTENCES = {
    r"(\"\"\"|(?<!#)# )What\b": "name the subject",
    r"help=\"What\b": "name the subject",
    r"\bof (its|their|one's|our) own\b": "leave it out, or: another, separate",
    r"\bso many\b": "give the number its name",
    # The key of a derived result stays as it is.
    r"\b[Tt]he share of\b|\ba share\b|\"share\"(?!:)|`share`": "fraction",
}
RECIPES = sorted((ROOT / "empirical" / "recipes").rglob("*.toml"))


def names_of(tree):
    """Names that a source gives: variables, attributes, parameters, functions, classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.lineno, node.name


def worded_otherwise(text, instead=INSTEAD):
    """Lines of a text with banned words: all of a source is comments, docstrings and names."""
    return (
        [
            f"{line}: {match.group()!r}, rather {better}"
            for pattern, better in instead.items()
            for line, content in enumerate(text.splitlines(), 1)
            for match in re.finditer(pattern, content)
        ]
        if re.search("|".join(instead), text)
        else []
    )


def name(path):
    return path.relative_to(ROOT).as_posix()


def test_names_name_the_thing():
    nameless = []
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        methods = {
            method.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for method in node.body
            if isinstance(method, ast.FunctionDef)
        }
        banned = (NAMELESS | set(RENAMED)) - KEYS.get(name(path), set())
        nameless += [
            f"{name(path)}:{line} {word}"
            for line, word in names_of(tree)
            if word.strip("_") in banned and not (word in METHODS and line in methods)
        ]
    assert nameless == []


@pytest.mark.parametrize("paths", [SOURCES, TEXTS], ids=["sources", "texts"])
def test_the_english_of(paths):
    bad = {name(path): worded_otherwise(path.read_text()) for path in paths}
    assert {path: lines for path, lines in bad.items() if lines} == {}


def test_sentences_name_their_subjects():
    paths = [*SOURCES, *TEXTS, *RECIPES, ROOT / "pyproject.toml"]
    bad = {name(path): worded_otherwise(path.read_text(), SENTENCES) for path in paths}
    assert {path: lines for path, lines in bad.items() if lines} == {}


def test_what_is_banned_is_seen():
    text = 'def f(told):\n    """Whoever asks."""\n    own = 1  # the settled one\n'
    assert {word for _, word in names_of(ast.parse(text))} & NAMELESS == {"told", "own"}
    assert len(worded_otherwise(text)) == 2
    text = '"""What it is, of its own."""\n# What follows so many\n## What was measured\n'
    assert len(worded_otherwise(text, SENTENCES)) == 4
    assert {word for _, word in names_of(ast.parse("class Probe:\n    share = 1"))} <= set(RENAMED)
