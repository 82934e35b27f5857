"""Theory, fits and figures on every supported Python, in an environment without torch."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.helpers.interpreters import interpreter

ROOT = Path(__file__).resolve().parent.parent
SUITES = ("tests/qtm", "tests/analysis", "tests/figures", "tests/test_theory_commands.py")
RUNNERS = ("pytest", "pytest-xdist")
# A test that hangs ends with a traceback of every thread, and the others continue.
HANGS = ("-o", "faulthandler_timeout=600", "-o", "faulthandler_exit_on_timeout=true")
# Seconds after which a run that did not end by itself is ended.
LIMIT = 1800


def call(words, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYTEST"))}
    return subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_theory_fits_and_figures(version, tmp_path):
    if version == ".".join(map(str, sys.version_info[:2])):
        pytest.skip(f"the whole suite runs on Python {version}")
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on the path, of pyenv or of uv")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    venv = tmp_path / "venv"
    made = call([python, "-m", "venv", venv])
    assert made.returncode == 0, made.stderr
    pip = [venv / "bin" / "pip", "install", "--quiet", "--constraint", "constraints.txt"]
    done = call([*pip, *project["dependencies"], *RUNNERS])
    assert done.returncode == 0, done.stderr[-3000:]
    assert call([venv / "bin" / "python", "-c", "import torch"]).returncode != 0
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "auto", *HANGS, *SUITES]
    done = call([venv / "bin" / "python", *words])
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-6000:]
