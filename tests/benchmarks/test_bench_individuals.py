"""Individuals: N = 10,000, 100 generations, 10 replicates, stabilizing selection and mutation.

The floor, an individual and generation: 128 random bits, an exponential, a running sum, about
five steps of a search in a cache, one gather, half a logarithm and half a sine. Divide the times
by 1e7, that of fwdpy11, which runs one replicate, by 1e6, for seconds an individual and
generation. fwdpy11 simulates more: diploid, recombining genomes with a tree sequence.
"""

import jax.random as jr
import numpy as np
import pytest

import qtm

rivals = pytest.importorskip("rivals", exc_type=ImportError)

N, GENERATIONS, REPLICATES = 10_000, 100, 10
WIDTH2, MUTATION = 20.0, 0.05
GROUP = pytest.mark.benchmark(group="individuals: N = 10,000, 100 generations, 10 replicates")
OFTEN = {"rounds": 3, "warmup_rounds": 1}


def cycle_of(variance):
    return qtm.LifeCycle(
        selection=qtm.Stabilizing(optimum=rivals.OPTIMUM, width2=WIDTH2),
        mutation=qtm.GaussianMutation(variance=variance),
    )


def agrees(moments):
    """Replicates lie around the balance of selection and mutation."""
    expected = (MUTATION + np.sqrt(MUTATION**2 + 4 * MUTATION * WIDTH2)) / 2
    mean, variance = np.asarray(moments).mean(axis=0)
    assert abs(mean - rivals.OPTIMUM) < 0.1
    assert abs(variance / expected - 1) < 0.1


@GROUP
def test_qtm(benchmark):
    start, key = qtm.Individuals.normal(jr.key(1), size=N), jr.key(0)
    variances = np.full(REPLICATES, MUTATION)

    def run():
        path = qtm.evolve_many(cycle_of, variances, start, GENERATIONS, key=key)
        return np.stack([path.mean, path.variance], axis=1)

    agrees(benchmark.pedantic(run, **OFTEN))


@GROUP
def test_numpy(benchmark):
    given = (N, GENERATIONS, REPLICATES, WIDTH2, MUTATION)
    agrees(benchmark.pedantic(rivals.numpy_individuals, given, **OFTEN))


@GROUP
def test_numba(benchmark):
    given = (N, GENERATIONS, REPLICATES, WIDTH2, MUTATION)
    agrees(benchmark.pedantic(rivals.numba_individuals, given, **OFTEN))


@GROUP
def test_fwdpy11_one_replicate(benchmark):
    pytest.importorskip("fwdpy11")
    found = benchmark.pedantic(rivals.fwdpy11_individuals, (N, GENERATIONS, WIDTH2), rounds=2)
    assert found.shape == (1, N)
