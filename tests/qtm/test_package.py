"""The package loads lazily and names everything it defines."""

import subprocess
import sys
from pathlib import Path

import pytest

import qtm

ROOT = Path(__file__).resolve().parents[2]


def test_import_does_not_load_jax():
    code = "import sys, qtm; sys.exit('jax' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("name", qtm.__all__)
def test_every_name_resolves_and_is_documented(name):
    assert getattr(qtm, name).__doc__
    assert name in dir(qtm)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Selektion'"):
        qtm.Selektion  # noqa: B018


def test_names_use_64_bits():
    assert qtm.Moments(0, 1).mean.dtype == "float64"


def test_every_form_is_exported_and_documented(form):
    name = type(form).__name__
    assert name in qtm.__all__, f"{name} is missing in qtm.__all__"
    assert getattr(qtm, name) is type(form)
    assert type(form).__doc__
