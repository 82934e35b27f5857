"""The moment recursion beside a vectorised NumPy loop: 10,000 parameter sets, 50 generations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import qtm

SETS, GENERATIONS = 10_000, 50
WIDTHS = np.linspace(1.0, 50.0, SETS)


@pytest.mark.benchmark(group="stabilizing selection, 10,000 sets, 50 generations")
def test_qtm(benchmark):
    cycle = qtm.LifeCycle(
        selection=qtm.Stabilizing(optimum=1.0, width2=jnp.asarray(WIDTHS)),
        mutation=qtm.GaussianMutation(variance=0.02),
    )
    start = qtm.Moments(mean=jnp.zeros(SETS), variance=jnp.ones(SETS))

    def run():
        return jax.block_until_ready(qtm.evolve(cycle, start, GENERATIONS).variance)

    found = benchmark(run)
    np.testing.assert_allclose(np.asarray(found)[-1], numpy_loop()[1][-1], rtol=1e-10)


def numpy_loop():
    m, V = np.zeros(SETS), np.ones(SETS)
    means, variances = [m], [V]
    for _ in range(GENERATIONS):
        m, V = (WIDTHS * m + V) / (V + WIDTHS), V * WIDTHS / (V + WIDTHS) + 0.02
        means.append(m)
        variances.append(V)
    return np.stack(means), np.stack(variances)


@pytest.mark.benchmark(group="stabilizing selection, 10,000 sets, 50 generations")
def test_numpy(benchmark):
    benchmark(numpy_loop)
