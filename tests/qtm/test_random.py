"""The random numbers of populations: their laws, and that no two keys share them."""

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from scipy import stats

from qtm._core.random import bits, choose, normal, uniform

SIZE = 200_000


def test_splitmix_is_the_published_generator():
    """With start 0 and the golden stride, the first words of SplitMix64 (Steele et al. 2014)."""

    def finish(x):
        mask = (1 << 64) - 1
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return x ^ (x >> 31)

    key = jr.key(5)
    start, stride = (int(x) for x in jr.bits(key, (2,), jnp.uint64))
    stride |= 1
    assert bin(stride ^ (stride >> 1)).count("1") >= 24  # so this one is not altered
    expected = [finish((start + stride * j) % 2**64) for j in range(4)]
    assert [int(x) for x in bits(key, 4)] == expected
    assert finish(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF  # its well-known first word from seed 0


def test_uniform_and_normal_have_their_laws():
    for key in jr.split(jr.key(1), 3):
        assert stats.kstest(np.asarray(uniform(key, SIZE)), "uniform").pvalue > 1e-3
        assert stats.kstest(np.asarray(normal(key, (SIZE,))), "norm").pvalue > 1e-3
    z = np.asarray(normal(jr.key(2), (SIZE,)))
    for power, moment in ((1, 0), (2, 1), (3, 0), (4, 3), (6, 15)):
        x = z**power
        assert abs(x.mean() - moment) < 4 * x.std() / np.sqrt(SIZE)


def test_the_two_normals_of_a_pair_are_independent():
    """Also far out, and in the direction: its angle is even over the whole turn."""
    x, y = np.asarray(normal(jr.key(3), (SIZE,))).reshape(2, -1)
    n = x.size
    for a, b in ((x, y), (x**2, y**2), (abs(x), y)):
        assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(n)
    assert stats.kstest(np.arctan2(y, x) / (2 * np.pi) + 0.5, "uniform").pvalue > 1e-3
    assert stats.kstest((x**2 + y**2) / 2, "expon").pvalue > 1e-3


def test_streams_of_keys_that_are_neighbours_are_independent():
    first, second = (normal(jr.fold_in(jr.key(4), i), (SIZE,)) for i in (7, 8))
    for lag in (0, 1, 2):
        found = np.corrcoef(first[lag:], second[: SIZE - lag])[0, 1]
        assert abs(found) < 4 / np.sqrt(SIZE)
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 4 / np.sqrt(SIZE)


def test_shapes_and_prefixes():
    assert normal(jr.key(0), (3, 5)).shape == (3, 5)
    assert normal(jr.key(0), ()).shape == ()
    np.testing.assert_array_equal(uniform(jr.key(0), 10)[:4], uniform(jr.key(0), 4))


@pytest.mark.parametrize("order", ["random", "sorted"])
@pytest.mark.parametrize("N", [1, 2, 7, 1000])
def test_choose_draws_in_proportion_to_the_weights(N, order):
    weights = jnp.exp(2 * jr.normal(jr.key(N), (N,)))
    weights = jnp.sort(weights) if order == "sorted" else weights
    weights = weights.at[N // 2 : N // 2 + N // 4].set(0.0)
    drawn = np.bincount(choose(jr.key(8), weights, SIZE), minlength=N)
    p = np.asarray(weights / weights.sum())
    assert (drawn[p == 0] == 0).all()
    if N > 1:
        assert stats.chisquare(drawn[p > 0], SIZE * p[p > 0]).pvalue > 1e-3


def test_choose_is_a_search_of_the_sums():
    weights = jr.uniform(jr.key(1), (5000,)) ** 8
    place = uniform(jr.key(2), SIZE) * 5000
    sums = jnp.cumsum(weights)
    expected = jnp.searchsorted(sums * (5000 / sums[-1]), place, side="right")
    np.testing.assert_array_equal(choose(jr.key(2), weights, SIZE), expected)


def test_choose_maps_and_a_lone_survivor_is_always_found():
    weights = jnp.zeros((4, 50)).at[jnp.arange(4), jnp.array([0, 13, 48, 49])].set(1e-300)
    keys = jr.split(jr.key(0), 4)
    drawn = jax.jit(jax.vmap(lambda key, w: choose(key, w, 100)))(keys, weights)
    assert (drawn == jnp.array([0, 13, 48, 49])[:, None]).all()
