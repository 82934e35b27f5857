"""Guided sampling with exact scores, beside a plain NumPy loop: one generation of a chain.

Ten families in 256 dimensions, 500 samples, 50 steps: 4 (C + 1) d^2 N K = 7e10 operations, so a
chain of six generations is 4e11 and its refits.
"""

from itertools import pairwise

import jax
import jax.random as jr
import numpy as np
import pytest

from qtm import mixture

C, D, N, K, W = 10, 256, 500, 50, 2.5
FAMILIES = np.arange(N) % C


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(C, D, D)) / np.sqrt(2 * D)
    V = roots @ roots.swapaxes(1, 2) + 0.02 * np.eye(D)
    base = mixture.Mixture.of(np.ones(C), 0.7 * rng.normal(size=(C, D)), V)
    sampler = mixture.Sampler(mixture.NoiseLevels.preserving(K), W)
    return base, sampler, mixture.keys_of(jr.key(0), 1, N)


def numpy_loop(base, sampler, start):
    p, m, V, Q = (np.asarray(x) for x in (base.weights, base.means, base.spectra, base.axes))
    s, y = np.asarray(sampler.levels.levels), start
    for now, then in pairwise(s):
        q = [(y - m[c]) @ Q[c] for c in range(C)]
        logs = [
            np.log(p[c]) - 0.5 * np.sum(q[c] ** 2 / (V[c] + now**2) + np.log(V[c] + now**2), axis=1)
            for c in range(C)
        ]
        share = np.exp(logs - np.max(logs, axis=0))
        share /= share.sum(axis=0)
        parts = [m[c] + (q[c] * V[c] / (V[c] + now**2)) @ Q[c].T for c in range(C)]
        D_u = sum(share[c][:, None] * parts[c] for c in range(C))
        D_c = np.stack(parts)[FAMILIES, np.arange(N)]
        D_w = D_u + W * (D_c - D_u)
        y = D_w + then * (y - D_w) / now
    return y


@pytest.mark.benchmark(group="guided sampling of ten families in 256 dimensions")
def test_qtm(benchmark, case):
    base, sampler, keys = case
    found = benchmark(
        lambda: jax.block_until_ready(mixture.sample(base, base, FAMILIES, keys, sampler))
    )
    start = float(sampler.levels.start) * noise(keys)
    np.testing.assert_allclose(found, numpy_loop(base, sampler, start), rtol=1e-7, atol=1e-9)


@pytest.mark.benchmark(group="guided sampling of ten families in 256 dimensions")
def test_numpy(benchmark, case):
    base, sampler, keys = case
    start = float(sampler.levels.start) * noise(keys)
    benchmark.pedantic(lambda: numpy_loop(base, sampler, start), rounds=3)


@pytest.mark.benchmark(group="six generations of ten families in 256 dimensions")
def test_chain(benchmark, case):
    base, sampler, _ = case
    run = lambda: mixture.chain(
        base, sampler, 6, jr.key(0), size=N, learning=mixture.Learning(heritability=0.9),
        bound=lambda z: np.clip(z, -4, 4),
    )  # fmt: skip
    path = benchmark.pedantic(run, rounds=2, warmup_rounds=1)
    assert np.isfinite(path.within).all()


def noise(keys):
    return np.asarray(jax.vmap(lambda key: jr.normal(jr.fold_in(key, 0), (D,)))(keys))
