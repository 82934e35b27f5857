"""Shared by all tests: where the packages are, and how JAX and its compiler are set up."""

import atexit
import ctypes
import gc
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import jaxtyping
import pytest

import tests.helpers.shapes

CHECKED = (
    "chain", "classifier", "conditioning", "data", "embedded", "files", "generator", "guidance",
    "measuring", "pipeline.adapters", "pipeline.decoding", "pipeline.model", "pipeline.replay",
    "pipeline.still", "pretraining", "processes", "remedies", "runs", "sheet",
)  # fmt: skip
# Every function of these packages refuses, in this process, an array of another shape or dtype
# than its annotation says. It comes before the first import of them. Left out are
# `pipeline.bare`, `compiled` and `winograd`, which torch.compile traces: a check in every layer
# breaks the denoiser's one graph into 40.
jaxtyping.install_import_hook(
    ["qtm", "analysis", "figures", *(f"empirical.{part}" for part in CHECKED)],
    f"{tests.helpers.shapes.__name__}.checked",
)

from qtm.__main__ import quieten  # noqa: E402

os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Tests run side by side, a core each: more threads would only wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# The command line configures libraries before they are imported; so do the tests.
quieten()
# Tests compile many small programs and run each once: compiling is what takes the time.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Fusions by LLVM alone, without a detour over MLIR, halve it. The flags of the caller come
# last, and so win.
os.environ["XLA_FLAGS"] = " ".join(
    ["--xla_cpu_use_fusion_emitters=false", os.environ.get("XLA_FLAGS", "")]
).strip()
# Processes share compiled programs: the first process of a session makes a folder, which those that
# it starts inherit. The next session begins with an empty one.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="qtm-compiled-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")


# A worker that holds more than this gives back what it can, and again for each further step;
# after a module, whose programs few others need, it does so earlier.
_MOST, _MORE = 1.6e9, 0.3e9
_MOST_AFTER_A_MODULE = 1.4e9
_limit = _MOST


def _give_back() -> None:
    """Give back what JAX compiled and traced, cycles of objects, and freed memory to the system
    where the C library can be asked to. Programs of several modules lie in the folder above."""
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


def _resident() -> float:
    """Memory of this process in bytes, 0 where the system does not tell."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * resource.getpagesize() if pages.exists() else 0.0


@pytest.fixture(scope="module", autouse=True)
def compiled_programs_go_with_their_module():
    """No other module needs much of what one has compiled, and all together are gigabytes.

    While there is room they stay: to clear them takes a second, and the next module is spared the
    tracing of what it shares.
    """
    yield
    if _resident() > _MOST_AFTER_A_MODULE or _resident() == 0:
        _give_back()


@pytest.fixture(autouse=True)
def memory_stays_small():
    """Modules of many models and pipelines give back on their way what they no longer need."""
    yield
    global _limit
    if _resident() > _limit:
        _give_back()
        _limit = max(_MOST, _resident() + _MORE)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """One tiny chain on the embedded model, for all tests that read a run."""
    pytest.importorskip("torch", reason="a chain needs torch")
    from empirical.chain import loop
    from tests.helpers.tiny_chain import tiny

    return loop.run(tiny(), tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture(scope="session")
def digits():
    """The embedded model. Tests leave no adapter in it."""
    from empirical.pipeline import model

    return model.load("digits")


@pytest.fixture
def stock():
    """The same pipeline as diffusers loads it, with nothing of ours in it."""
    import torch
    from diffusers import StableDiffusionPipeline

    from empirical.pipeline import model

    pipeline = StableDiffusionPipeline.from_pretrained(
        model.EMBEDDED / "digits", dtype=torch.float32
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def qtm(monkeypatch, capsys):
    """Call the command line with words."""
    from tests.helpers.commands import call

    return lambda *words: call(monkeypatch, capsys, *words)
