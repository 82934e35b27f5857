"""Verifications: they are found, their claims stand in the documents, every number has a source,
tables are as they are written, and those of less than a minute hold."""

import os
import subprocess
import sys

import pytest

from tests.verification import checks, documents, numbers, registry, tables
from tests.verification.__main__ import main
from tests.verification.expectations import Measured, at_least, between, exactly, near, rounded
from tests.verification.recorded import DEFINED, RECORDED

# Set by the tests for themselves: verifications measure programs as users run them.
OF_TESTS = ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS", "PYTEST_XDIST_WORKER")
NEEDS = {"GPU", "network", "idle machine"}
FAKE = '''
"""A claim that holds.

More of it.
"""

from tests.verification.expectations import Claim, Measured, rounded

CLAIMS = (Claim("README.md", "# diffusion-qtm"),)
EXPECTED = {"two": rounded(2), "near two": rounded(2, 1, errors=3)}
SECONDS, MEMORY = 1, 0.1


def measure(value: float = 2.0, names: tuple[str, ...] = (), exact: bool = True):
    return {"two": value, "near two": Measured(2.2, 0.1)}
'''


@pytest.fixture(scope="module")
def known():
    return registry.every_verification()


@pytest.fixture
def verify(monkeypatch, capsys, tmp_path):
    """Call the command line with a verification `fake` beside the others."""
    (tmp_path / "fake.py").write_text(FAKE.lstrip())
    monkeypatch.setattr(checks, "__path__", [*checks.__path__, str(tmp_path)])

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["verification", *words])
        code = main()
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    yield call
    sys.modules.pop(f"{checks.__name__}.fake", None)


def test_every_verification_is_complete(known):
    assert len(known) > 20
    for name, verification in known.items():
        assert len(verification.title) > 20, name
        assert verification.claims, name
        assert verification.expected, name
        assert verification.seconds > 0, name
        assert verification.memory > 0, name
        assert set(verification.needs) <= NEEDS, name


def test_claims_stand_in_the_documents(known):
    assert [(c.place, c.text) for c in numbers.missing_claims(known)] == []


def test_every_number_has_a_source(known):
    without = [n for n in numbers.every_number(known) if not n.source]
    assert [f"{n.place}: {n.text} ({n.words})" for n in without] == []


def test_sources_of_recorded_numbers_exist():
    log = documents.prose(documents.LOG)
    assert [e.claim.text for e in RECORDED if documents.flat(e.source) not in log] == []
    files = [documents.ROOT / entry.source for entry in DEFINED]
    files += [documents.ROOT / path for test in documents.WRITTEN.items() for path in test]
    assert [path for path in files if not path.is_file()] == []


def test_a_number_without_a_source_is_found(known, monkeypatch):
    text = documents.read("docs/runs.md") + "\nIt took 17.5 s, eight minutes, on an `x = 3` H100.\n"
    monkeypatch.setattr(documents, "read", lambda place: text)
    monkeypatch.setattr(documents, "VERIFIED", ("docs/runs.md",))
    without = [n.text for n in numbers.every_number(known) if not n.source]
    assert without == ["17.5", "eight minutes"]


def test_tables_are_as_they_are_written():
    contents = tables.every_table()
    places = list(tables.documents_with_tables())
    assert {"README.md", "docs/measured.md", "docs/fits.md"} <= set(places)
    assert {place: tables.differing(place, contents) for place in places} == {
        place: [] for place in places
    }
    shown = {name for place in places for name in documents.tables(documents.read(place))}
    assert shown == set(contents)


def test_a_changed_cell_of_a_table_is_found_and_written_anew(monkeypatch):
    table = tables.markdown(["a", "b"], "lr", [["x", "1"], ["y", "2"]])
    assert table == "| a | b |\n|---|---:|\n| x | 1 |\n| y | 2 |\n"
    text = f"before\n\n<!-- begin: t -->\n{table}<!-- end: t -->\n\nafter\n"
    old = text.replace("| 2 |", "| 3 |")
    monkeypatch.setattr(documents, "read", lambda place: old)
    assert tables.differing("x.md", {"t": table}) == ["t: | y | 3 |"]
    assert tables.rewritten("x.md", {"t": table}) == text
    monkeypatch.setattr(documents, "read", lambda place: text)
    assert tables.differing("x.md", {"t": table}) == []
    with pytest.raises(ValueError, match="writes 't'"):
        tables.rewritten("x.md", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- begin: t -->\n| a |\n", "has no pair"),
        ("<!-- begin: t -->\n| a |\n<!-- end: u -->\n", "has no pair"),
        ("<!-- begin: t -->\n<!-- end: t -->\n" * 2, "two tables have the name 't'"),
    ],
)
def test_markers_come_in_pairs(text, message):
    with pytest.raises(ValueError, match=message):
        documents.tables(text)


def test_expectations_hold_within_their_tolerance():
    assert rounded(0.14, 2).holds(Measured(0.1449))
    assert not rounded(0.14, 2).holds(Measured(0.1451))
    assert rounded(57).holds(Measured(56.6))
    assert not rounded(57).holds(Measured(float("nan")))
    assert between(88, 91, errors=3).holds(Measured(87, 0.4))
    assert not between(88, 91, errors=3).holds(Measured(87, 0.3))
    assert near(2, 0.1).holds(Measured(2.05))
    assert not near(2, 0.1).holds(Measured(2.15))
    assert exactly(3).holds(Measured(3))
    assert not exactly(3).holds(Measured(3.01))
    assert at_least(1).holds(Measured(1))
    assert not at_least(1).holds(Measured(0.99))


def test_a_verification_is_one_file_and_prints_claimed_measured_ok(verify):
    code, out, _ = verify("fake")
    assert code == 0
    assert 'README.md: "# diffusion-qtm"' in out
    assert [line.split() for line in out.splitlines()[3:6]] == [
        ["claimed", "measured", "ok"],
        ["two", "2", "2", "yes"],
        ["near", "two", "2.0", "(3", "s.e.)", "2.2", "±", "0.1", "yes"],
    ]
    code, out, _ = verify("fake", "--value", "2.6", "--names", "a", "b", "--no-exact")
    assert code == 1
    assert "not as claimed: fake" in out


def test_an_unknown_name_is_refused_in_one_sentence(verify):
    code, out, err = verify("fake", "no-such")
    assert (code, out) == (2, "")
    assert err == "there is no verification 'no-such', --list prints their names\n"
    code, _, err = verify("fake", "chains", "--value", "3")
    assert (code, err) == (2, "options are those of one verification: --value 3\n")


def test_the_list_names_each_with_its_time_memory_and_needs(verify, known):
    code, out, _ = verify("--list")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert set(lines) == {*known, "fake"}
    assert "(needs: GPU)" in lines["stable_diffusion_gpu"]
    assert "1 s" in lines["fake"]
    assert "0.1 GB" in lines["fake"]


def test_values_and_expectations_have_the_same_names(verify, tmp_path):
    text = (tmp_path / "fake.py").read_text()
    (tmp_path / "fake.py").write_text(text.replace('return {"two": value, ', "return {"))
    with pytest.raises(ValueError, match="'fake' measures and expects different values: two"):
        verify("fake")


@pytest.mark.slow
def test_claims_that_are_verified_in_less_than_a_minute_hold():
    environment = {k: v for k, v in os.environ.items() if k not in OF_TESTS}
    run = subprocess.run(
        [sys.executable, "-m", "tests.verification", "--under", "60"],
        cwd=documents.ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
