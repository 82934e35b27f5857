"""`qtm results`: numbers of named results, their list, and the page of documentation."""

import re
from pathlib import Path

import pytest

from qtm import results
from qtm.results import _document

PAGE = Path(__file__).resolve().parent.parent / "docs" / "named-results.md"


def test_a_name_prints_its_numbers(qtm):
    code, out, _ = qtm("results", "component_splitting")
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == f"component_splitting: {results.title('component_splitting')}"
    assert "arXiv 2403.01639" in lines[1]
    assert lines[2].split() == ["quantity", "expected", "computed", "error", "agrees"]
    checks = results.reproduce("component_splitting").checks
    assert [line.strip().rpartition("  ")[0].split("  ")[0] for line in lines[3:]] == [
        check.quantity for check in checks
    ]
    assert {line.split()[-1] for line in lines[3:]} == {"yes"}


def test_the_list_has_every_result_and_computes_none(qtm, monkeypatch):
    monkeypatch.setattr(results, "reproduce", None)
    code, out, _ = qtm("results", "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == results.names()


def test_an_unknown_name_is_one_sentence(qtm):
    code, out, error = qtm("results", "component_splitting", "alchemy")
    assert (code, out) == (2, "")
    assert "there is no named result 'alchemy', there are accumulate_subsample, " in error
    assert len(error.strip().splitlines()) == 1


def test_a_number_that_does_not_agree_is_exit_code_1(qtm, monkeypatch):
    from qtm.results._result import Check, Panel, Reproduction

    wrong = Reproduction((Check("x", 2.0, 1.0),), Panel("", "", "", ()))
    monkeypatch.setattr(results, "reproduce", lambda name: wrong)
    code, out, _ = qtm("results", "refit_drift")
    assert code == 1
    assert out.split()[-5:] == ["x", "1", "2", "-", "no"]


def test_a_page_is_written(qtm, tmp_path):
    code, out, _ = qtm("results", "component_splitting", "--markdown", tmp_path / "page.md")
    assert (code, out.strip()) == (0, str(tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    assert page == _document.markdown(["component_splitting"])


def test_the_page_in_the_docs_has_every_result():
    sections = re.findall(r"^## `(\w+)`$", PAGE.read_text(), re.MULTILINE)
    assert sections == results.names()


def rows(text):
    """Rows of the tables of numbers, as cells."""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [row for row in cells if len(row) == 5 and row[0] != "quantity"]


@pytest.mark.slow
@pytest.mark.parametrize("name", results.names())
def test_the_page_in_the_docs_is_that_of_the_code(name):
    """Word by word; computed numbers may differ from machine to machine, by less than errors."""
    section = _document.markdown([name]).partition(f"## `{name}`")[2]
    stored = PAGE.read_text().partition(f"## `{name}`\n")[2].partition("\n## `")[0]
    prose = lambda text: [line for line in text.split("\n") if not line.startswith("|")]
    assert prose(stored.strip("\n")) == prose(section.strip("\n"))
    made, kept = rows(section), rows(stored)
    assert [[q, expected] for q, expected, *_ in kept] == [[q, e] for q, e, *_ in made]
    for check, row in zip(results.reproduce(name).checks, kept, strict=True):
        assert float(row[2]) == pytest.approx(
            check.computed, rel=2e-4, abs=check.tolerance / 4 + 1e-6
        )
