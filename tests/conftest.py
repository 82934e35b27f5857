"""Shared by all tests: where the packages are, and how JAX and its compiler are set up."""

import atexit
import ctypes
import gc
import os
import shutil
import sys
import tempfile
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
# Fusions by LLVM alone, without a detour over MLIR, halve it. What the caller has set comes last,
# and so wins.
os.environ["XLA_FLAGS"] = " ".join(
    ["--xla_cpu_use_fusion_emitters=false", os.environ.get("XLA_FLAGS", "")]
).strip()
# What one process has compiled, no other compiles again: the first process of a session makes a
# folder, which those that it starts inherit. The next session begins with an empty one.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="qtm-compiled-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_go_with_their_module():
    """Give back what JAX compiled and traced for a module: no other module needs much of it.

    A worker that goes through all of them would hold gigabytes. What several modules compile lies
    in the folder above. Freed memory goes back to the system where the C library can be asked to.
    """
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """One tiny chain on the embedded model, for all tests that read a run."""
    pytest.importorskip("torch", reason="a chain needs torch")
    from tiny_chain import tiny

    from empirical import chain

    return chain.run(tiny(), tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="session")
def digits():
    """The embedded model. Tests leave no adapter in it."""
    from empirical import model

    return model.load("digits")


@pytest.fixture
def stock():
    """The same pipeline as diffusers loads it, with nothing of ours in it."""
    import torch
    from diffusers import StableDiffusionPipeline

    from empirical import model

    pipeline = StableDiffusionPipeline.from_pretrained(
        model.EMBEDDED / "digits", dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def qtm(monkeypatch, capsys):
    """Call the command line with words."""
    from commands import call

    return lambda *words: call(monkeypatch, capsys, *words)
