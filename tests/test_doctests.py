"""The examples in docstrings give what they show."""

import doctest
import importlib

import pytest

from tests.helpers import structure

MODULES = [name for name, path in structure.files().items() if ">>> " in path.read_text()]


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_show(name):
    if name.startswith("empirical"):
        pytest.importorskip("torch")
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def test_examples_are_found():
    assert {"qtm", "qtm.mixture", "analysis.derivations"} <= set(MODULES)
