"""A sweep recognises its store by everything its numbers depend on, in any process."""

import json
import subprocess
import sys
from functools import partialmethod
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline

import qtm
from qtm.sweeps import code as codes
from qtm.sweeps import fingerprint, traced
from qtm.sweeps.store import ZarrStore
from qtm.sweeps.task import Plan
from tests.helpers.life_cycles import LONG, PAIRS, UNIT, W, stabilizing_to


@pytest.mark.parametrize("kind", PAIRS)
def test_another_constant_is_another_sweep(tmp_path, kind):
    """Wherever it is stored; and the sweep itself recognises its store."""
    cycle_of, other = PAIRS[kind]
    state = qtm.Moments(np.zeros(len(LONG)), np.ones(len(LONG))) if "long" in kind else UNIT
    first = qtm.sweep(cycle_of, W, state, 3, out=tmp_path / "o.zarr")["mean"].values
    with pytest.raises(ValueError, match="another sweep, they differ in cycle_of"):
        qtm.sweep(other, W, state, 3, out=tmp_path / "o.zarr")
    again = qtm.sweep(cycle_of, W, state, 3, out=tmp_path / "o.zarr")["mean"].values
    np.testing.assert_array_equal(again, first)


def test_programs_of_all_fixed_values_count(tmp_path):
    """Not only that of the first."""

    def of_sizes(large):
        return lambda q: qtm.LifeCycle(
            selection=qtm.Stabilizing(large if q["size"] > 10 else 0.0, 4.0), size=q["size"]
        )

    call = {"grid": {"size": [10, 20]}, "state": UNIT, "generations": 2, "fixed": ["size"]}
    qtm.sweep(of_sizes(1.0), out=tmp_path / "o.zarr", **call)
    with pytest.raises(ValueError, match="differ in cycle_of"):
        qtm.sweep(of_sizes(2.0), out=tmp_path / "o.zarr", **call)


def test_a_state_function_counts_and_is_named(tmp_path):
    def start(mean):
        return lambda q: qtm.Moments(jnp.asarray(mean)[0], q["w"])

    qtm.sweep(stabilizing_to(0.0), W, start([0.5]), 2, out=tmp_path / "o.zarr")
    with pytest.raises(ValueError, match="they differ in state: "):
        qtm.sweep(stabilizing_to(0.0), W, start([0.6]), 2, out=tmp_path / "o.zarr")


@pytest.mark.parametrize(
    ("grid", "named"),
    [({"b": [1.0, 2.0], "keep": [3.0, 4.0]}, "order of the axes"),
     ({"keep": [3.0, 5.0], "b": [1.0, 2.0]}, "keep")],
)  # fmt: skip
def test_axes_count_in_their_order_and_by_any_name(tmp_path, grid, named):
    def cycle(q):
        return qtm.LifeCycle(selection=qtm.Stabilizing(q["keep"], q["b"]))

    qtm.sweep(cycle, {"keep": [3.0, 4.0], "b": [1.0, 2.0]}, UNIT, 1, out=tmp_path / "o.zarr")
    with pytest.raises(ValueError, match=f"differ in {named}"):
        qtm.sweep(cycle, grid, UNIT, 1, out=tmp_path / "o.zarr")


PROCESS = """
from tests.helpers.life_cycles import PAIRS, UNIT, W
from qtm.sweeps.grid import Grid
from qtm.sweeps.task import Plan
import jax.random as jr, numpy as np
key = "threefry2x32", np.asarray(jr.key_data(jr.key(3)))
for kind in ("static table", "loop", "branch", "rule", "callback"):
    plan = Plan(PAIRS[kind][0], UNIT, 3, "last", Grid.of(W, (), 2), key, None)
    print(kind, sorted(plan.fingerprint().items()), plan.code)
"""


@pytest.mark.slow
def test_processes_agree(monkeypatch):
    """Hashes of texts and addresses of functions differ between them."""
    root = str(Path(__file__).parents[2])
    digests = set()
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        monkeypatch.setenv("PYTHONPATH", root)
        done = subprocess.run([sys.executable, "-c", PROCESS], capture_output=True,
                              text=True, check=True)  # fmt: skip
        digests.add(done.stdout)
    assert len(digests) == 1
    assert digests.pop().count("cycle_of") == 5


def test_keys_and_sets_and_numbers_are_told_apart():
    digest = fingerprint.values
    assert digest(jr.key(1)) != digest(jr.key(2))
    assert digest(frozenset("ab")) == digest(frozenset("ba")) != digest(frozenset("a"))
    assert digest(1) != digest(1.0) != digest(True) != digest("1")
    assert digest(0.0) != digest(-0.0)
    assert digest(np.float32(0.5)) != digest(np.float64(0.5))


def test_comments_and_docstrings_are_no_code():
    text = '"""Says."""\nx = "#"  # a comment\n\n\ndef f():\n    """Does."""\n    return x\n'
    assert codes.bare(text) == 'x = "#"\ndef f():\n    return x'
    assert codes.bare(text.replace("\n", "\r\n")) == codes.bare(text)
    assert codes.bare(text) != codes.bare(text.replace("return x", "return x + 1"))


def newer(part):
    return {**codes.code(), part: "9.9"}


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A store of which two of four tasks are finished."""
    monkeypatch.setattr("qtm.sweeps.run._NUMBERS", 1)
    write, written = ZarrStore.write, []

    def killed(self, number, *task):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(number)
        write(self, number, *task)

    call = {"cycle_of": stabilizing_to(0.0), "grid": {"w": [1.0, 2.0, 3.0, 4.0]}, "state": UNIT,
            "generations": 3, "out": tmp_path / "o.zarr"}  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(ZarrStore, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            qtm.sweep(**call)
    return call


@pytest.mark.parametrize(
    ("part", "sentence"),
    [("source", "the code of qtm has changed since"),
     ("qtm", "the code of qtm has changed from .* to 9.9 since"),
     ("jax", "JAX has changed from .* to 9.9 since")],
)  # fmt: skip
def test_a_half_computed_store_is_not_mixed_with_other_code(begun, monkeypatch, part, sentence):
    monkeypatch.setattr(Plan, "__init__", partialmethod(Plan.__init__, code=newer(part)))
    with pytest.raises(ValueError, match=sentence):
        qtm.sweep(**begun)


def test_a_finished_store_of_other_code_opens_and_says_so(begun, monkeypatch):
    variance = qtm.sweep(**begun)["variance"].values
    monkeypatch.setattr(Plan, "__init__", partialmethod(Plan.__init__, code=newer("source")))
    with pytest.warns(UserWarning, match="the code of qtm has changed since .* was computed"):
        again = qtm.sweep(**begun)["variance"].values
    np.testing.assert_array_equal(again, variance)


def test_a_store_without_a_note_of_its_code_is_refused_in_a_sentence(begun):
    path = begun["out"] / ".zattrs"
    attributes = json.loads(path.read_text())
    identity = json.loads(attributes["sweep"])
    del identity["code"]
    path.write_text(json.dumps({"sweep": json.dumps(identity)}))
    with pytest.raises(ValueError, match="did not record everything its numbers depend on"):
        qtm.sweep(**begun)


class Slots:
    """An object without a dictionary."""

    __slots__ = ("values",)

    def __init__(self, values):
        self.values = values


@pytest.mark.parametrize("holder", [pd.DataFrame, pd.Series, Slots, CubicSpline])
def test_tables_of_any_kind_that_a_callback_holds_are_compared(holder):
    """One number among 3,000 differs in its tenth digit; equal tables are the same."""
    changed = LONG.copy()
    changed[1500] *= 1 + 1e-10
    shape = jax.ShapeDtypeStruct((), jnp.float64)

    def digest(table):
        held = holder(LONG, table) if holder is CubicSpline else holder(table)
        return traced.program(
            lambda t: jax.pure_callback(lambda t: np.float64(t * (held is not None)), shape, t),
            shape,
        )

    assert digest(LONG) == digest(LONG.copy())
    assert digest(LONG) != digest(changed)
