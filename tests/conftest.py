"""Shared by all tests: where the packages are, and which device JAX may use."""

import os
import sys
from pathlib import Path

import pytest

# The folders tests/qtm and tests/analysis must not pass for the packages of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests run side by side, a core each: threads of their own would only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests compile many small programs and run each once: compiling is what takes the time.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """One tiny chain on the embedded model, for all tests that read a run."""
    from tiny_chain import tiny

    from empirical import chain

    return chain.run(tiny(), tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="session")
def digits():
    """The embedded model. Tests leave no adapter in it."""
    from empirical import model

    return model.load("digits")
