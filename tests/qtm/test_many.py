"""Many parameter sets at once: the same numbers as one by one, however they are divided up."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

import qtm

ROOT = Path(__file__).resolve().parents[2]
UNIT = qtm.Moments(mean=0.0, variance=1.0)
SETS = {"width2": np.linspace(2.0, 30.0, 67), "variance": np.linspace(0.01, 0.2, 67)}


def cycle_of(parameters):
    return qtm.LifeCycle(
        selection=qtm.Stabilizing(optimum=1.0, width2=parameters["width2"]),
        mutation=qtm.GaussianMutation(parameters["variance"]),
    )


def drifting(parameters):
    cycle = cycle_of(parameters)
    return qtm.LifeCycle(selection=cycle.selection, mutation=cycle.mutation, size=20)


def one_by_one(cycle_of, state, generations, key=None):
    for i in range(len(SETS["width2"])):
        own = None if key is None else jr.fold_in(key, i)
        cycle = cycle_of({name: values[i] for name, values in SETS.items()})
        yield qtm.evolve(cycle, state, generations, own)


def test_sets_are_evolved_as_one_by_one():
    last = qtm.evolve_many(cycle_of, SETS, UNIT, generations=7)
    every = qtm.evolve_many(cycle_of, SETS, UNIT, generations=7, keep="all")
    assert last.mean.shape == (67,)
    assert every.mean.shape == (67, 8)
    for i, path in enumerate(one_by_one(cycle_of, UNIT, 7)):
        np.testing.assert_allclose(every.mean[i], path.mean, rtol=1e-13)
        np.testing.assert_allclose(every.variance[i], path.variance, rtol=1e-13)
    np.testing.assert_allclose(last.mean, every.mean[:, -1], rtol=1e-13)
    np.testing.assert_array_equal(last.variance, last.final.variance)


@pytest.mark.parametrize("kind", ["moments", "individuals"])
def test_set_i_draws_with_the_key_folded_in_with_i(kind):
    state = UNIT if kind == "moments" else qtm.Individuals.normal(jr.key(9), size=20)
    found = qtm.evolve_many(drifting, SETS, state, 4, keep="all", key=jr.key(2))
    for i, path in enumerate(one_by_one(drifting, state, 4, jr.key(2))):
        np.testing.assert_allclose(found.variance[i], path.variance, rtol=1e-12)


@pytest.mark.parametrize("kind", ["moments", "individuals", "density"])
def test_numbers_do_not_depend_on_the_chunk(kind):
    states = {
        "moments": (UNIT, drifting),
        "individuals": (qtm.Individuals.normal(jr.key(9), size=20), drifting),
        "density": (qtm.Density.normal(0.0, 1.0, points=65), cycle_of),
    }
    state, cycle = states[kind]
    paths = [
        qtm.evolve_many(cycle, SETS, state, 3, key=jr.key(2), chunk=chunk) for chunk in (1, 40)
    ]
    for path in paths[1:]:
        np.testing.assert_allclose(path.mean, paths[0].mean, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(path.variance, paths[0].variance, rtol=1e-13)


def test_every_selection_can_be_swept(selection):
    """Its numbers, stacked, are the parameters."""
    shifts = np.linspace(0.0, 0.2, 5)
    found = qtm.evolve_many(
        lambda shift: qtm.LifeCycle(selection=selection, mutation=qtm.GaussianMutation(shift)),
        shifts,
        qtm.Moments(0.2, 0.8),
        generations=1,
    )
    for i, shift in enumerate(shifts):
        cycle = qtm.LifeCycle(selection=selection, mutation=qtm.GaussianMutation(shift))
        after = cycle.step(qtm.Moments(0.2, 0.8), generation=1)
        np.testing.assert_allclose(found.mean[i], after.mean, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found.variance[i], after.variance, rtol=1e-10)


# Run in a new process: the number of devices is fixed at the start of one.
ELSEWHERE = """
import sys, numpy as np, jax, jax.random as jr, qtm
assert len(jax.local_devices()) == int(sys.argv[2])
def cycle_of(p):
    return qtm.LifeCycle(selection=qtm.Truncation(p[0]), mutation=qtm.GaussianMutation(p[1]))
p = (np.linspace(0.2, 0.9, 500), np.linspace(0, 0.3, 500))
start = qtm.Individuals.normal(jr.key(1), size=9)
path = qtm.evolve_many(cycle_of, p, start, 5, key=jr.key(3), chunk=32)
np.save(sys.argv[1], np.stack([path.mean, path.variance]))
"""


@pytest.mark.slow
def test_numbers_do_not_depend_on_the_devices(tmp_path):
    found = []
    for devices in (1, 2):
        own = f"--xla_force_host_platform_device_count={devices}"
        flags = f"{os.environ.get('XLA_FLAGS', '')} {own}"
        path = tmp_path / f"{devices}.npy"
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(ELSEWHERE), path, str(devices)],
            env={**os.environ, "XLA_FLAGS": flags},
            cwd=ROOT,
            check=True,
        )
        found.append(np.load(path))
    np.testing.assert_array_equal(*found)
    assert np.unique(found[0][0]).size == 500


def test_parameters_may_be_any_tree_and_the_state_a_function_of_them():
    trees = ({"a": np.array([0.1, 0.4])}, [np.array([[1.0, 2.0], [3.0, 4.0]])])
    path = qtm.evolve_many(
        lambda p: qtm.LifeCycle(selection=qtm.Directional(p[0]["a"])),
        trees,
        lambda p: qtm.Moments(p[1][0], 1.0),
        generations=3,
    )
    np.testing.assert_allclose(path.mean, [[1.3, 2.3], [4.2, 5.2]])


def test_it_differentiates_and_compiles():
    @jax.jit
    def total(width2):
        sets = {"width2": width2, "variance": jnp.full(5, 0.1)}
        return qtm.evolve_many(cycle_of, sets, UNIT, 6).mean.sum()

    w, h = jnp.linspace(2.0, 6.0, 5), 1e-5
    central = [(total(w.at[i].add(h)) - total(w.at[i].add(-h))) / (2 * h) for i in range(5)]
    np.testing.assert_allclose(jax.grad(total)(w), central, rtol=1e-7)


def test_a_set_without_a_value_is_nan_and_harms_no_other():
    """A tilt has no value where its precision is not positive."""
    path = qtm.evolve_many(
        lambda w: qtm.LifeCycle(selection=qtm.Guidance(w, qtm.Moments(0.0, 0.5), operator="tilt")),
        np.array([0.5, -3.0, 2.0]),
        qtm.Moments(0.3, 2.0),
        generations=1,
    )
    assert path.defined.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": {"width2": np.ones(2), "variance": np.ones(3)}}, "share a leading axis"),
        ({"parameters": {"width2": np.ones(0)}}, "at least 1 set"),
        ({"parameters": {"width2": 1.0}}, r"got shapes \(\)"),
        ({"keep": "some"}, "keep must be one of last, all, got 'some'"),
        ({"chunk": 0}, "chunk must be a whole number of at least 1, got 0"),
        ({"generations": -1}, "generations must be a whole number of at least 0, got -1"),
    ],
)
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        qtm.evolve_many(
            **{"cycle_of": cycle_of, "parameters": SETS, "state": UNIT, "generations": 1, **change}
        )
