"""Named results of the field: each computed number agrees with its closed form, or sign and shape.

Results are found in their folder: one file is one result, and one test here.
"""

import re

import numpy as np
import pytest

from qtm import results
from qtm.results._result import Check, of_samples
from tests.helpers.package_copies import call, copy_of


@pytest.mark.parametrize("name", results.names())
def test_a_named_result_is_reproduced(name):
    """In one test, because workers would each compute the numbers again."""
    made = results.reproduce(name)
    require_agreement(made.checks)
    require_small_tolerances(made.checks)
    require_something_to_draw(made.panel)


def require_agreement(checks):
    assert checks
    wrong = [
        f"{check.quantity}: {check.computed:g} (SE {check.standard_error:g}, accuracy "
        f"{check.accuracy:g}), expected {check.expectation}"
        for check in checks
        if not check.holds
    ]
    assert wrong == []
    assert len({check.quantity for check in checks}) == len(checks)


def require_small_tolerances(checks):
    """Nothing agrees because nothing is measured: tolerances are a fifth of the number at most."""
    for check in checks:
        if check.expected:
            assert check.tolerance <= 0.2 * abs(check.expected) + 0.05, check.quantity
            assert check.standard_error > 0 or check.accuracy > 0, check.quantity


@pytest.mark.parametrize("name", results.names())
def test_a_named_result_states_itself(name):
    module = results.result(name)
    title, _, body = module.__doc__.partition("\n")
    assert title.endswith(".")
    assert ">>> " in body
    assert re.search(r"arXiv \d{4}\.\d{5}|\(\d{4}\)", module.SOURCE)
    assert results.title(name) == title


def require_something_to_draw(panel):
    assert panel.title
    assert panel.x or panel.ticks
    assert panel.y
    for series in panel.series:
        drawn = [pair for pair in (series.line, series.marks) if pair is not None]
        assert drawn, series.label
        for x, y in drawn:
            assert len(x) == len(y) > 0
            assert np.isfinite(y).all()
        if series.errors is not None:
            assert len(series.errors) == len(series.marks[0])


def test_a_check_can_fail():
    assert Check("x", 1.0, 1.0).holds
    assert not Check("x", 1.0 + 1e-9, 1.0, accuracy=1e-10).holds
    assert Check("x", 1.3, 1.0, standard_error=0.1).holds
    assert not Check("x", 1.5, 1.0, standard_error=0.1).holds
    assert Check("x", 0.5, below=1.0).holds
    assert not Check("x", 0.9, below=1.0, standard_error=0.1).holds
    assert not Check("x", 0.5, above=0.5).holds
    assert not Check("x", float("nan"), 1.0, accuracy=9.0).holds
    assert of_samples("x", [1.0, 3.0], 2.0).standard_error == pytest.approx(1.0)
    assert [Check("x", 0, **k).expectation for k in ({"expected": 2}, {"below": 1}, {"above": 1})] \
        == ["2", "< 1", "> 1"]  # fmt: skip


NEW = '''"""Nothing changes where nothing acts.

    >>> 1 + 1
    2
"""

import numpy as np

import qtm
from qtm.results._result import Check, Panel, Reproduction, Series, curve

SOURCE = "Nobody (2000)"


def compute():
    V = float(qtm.evolve(qtm.LifeCycle(), qtm.Moments(0.0, 2.5), 3).variance[-1])
    check = Check("variance", V, 2.5, accuracy=1e-12)
    return Reproduction((check,), Panel("rest", "t", "V", (Series("", curve([0, 1], V)),)))
'''


def test_a_new_file_is_found(tmp_path):
    root = copy_of(tmp_path, ("qtm", "tests"))
    (root / "qtm" / "results" / "at_rest.py").write_text(NEW)
    shown = call(root, "-m", "qtm", "results", "at_rest")
    assert shown.returncode == 0, shown.stderr
    assert "Nothing changes where nothing acts." in shown.stdout
    assert shown.stdout.split()[-5:] == ["variance", "2.5", "2.5", "1e-12", "yes"]
